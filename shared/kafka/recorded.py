"""Reads what a topic kept of a period, all partitions as one stream, always in the same order.

The order is that of time, then partition and offset. A partition's time never runs back: a record
that is stamped earlier than the one before it counts as of the same instant. Nothing is written,
not even a position.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping
from heapq import heapify, heappop, heapreplace
from typing import NamedTuple

from shared.kafka.guard import GuardedConsumer
from shared.kafka.records import Place, Record

BUFFER = 500
"""So many records of a partition are fetched ahead."""


class Bounds(NamedTuple):
    """Where a period begins and ends in each partition."""

    start: Mapping[Place, int]
    end: Mapping[Place, int]

    @property
    def total(self) -> int:
        """How many offsets there are."""
        return sum(self.end[place] - start for place, start in self.start.items())


class Timed(NamedTuple):
    """A record with its instant, in Unix milliseconds."""

    at: int
    record: Record


class Recorded:
    """The records of one topic. Everything raises Infrastructure when Kafka does not answer."""

    def __init__(self, bootstrap: str, *, client_id: str, places: tuple[Place, ...]) -> None:
        self._consumer = GuardedConsumer(bootstrap, group=None, client_id=client_id)
        self._places = places

    async def kept_since(self, retention_ms: int, now: int) -> int:
        """From which instant on nothing is missing: what the topic is set up to keep, more where
        nothing was deleted yet, less where more was."""
        beginnings = await self._consumer.beginnings(self._places)
        ends = await self._consumer.ends(self._places)
        firsts = {}
        for place, offset in beginnings.items():
            if offset < ends[place]:
                firsts[place] = await self._stamp(place, offset)
        deleted = [at for place, at in firsts.items() if beginnings[place] > 0]
        deleted += [now for place, at in beginnings.items() if 0 < at == ends[place]]
        return max(deleted) if deleted else min([now - retention_ms, *firsts.values()])

    async def bounds(self, start: int, end: int) -> Bounds:
        """Where a period lies: from the first record stamped with its start to the first one
        stamped with its end."""
        first = await self._consumer.since(self._places, start)
        last = await self._consumer.since(self._places, end)
        return Bounds(first, {place: max(last[place], at) for place, at in first.items()})

    async def read(self, bounds: Bounds, fetch: int = BUFFER) -> AsyncIterator[list[Timed]]:
        """The records within the bounds, some at a time; `fetch` ahead changes nothing else.
        Raises PartitionStopped when they are deleted meanwhile."""
        left = {place: at for place, at in bounds.start.items() if at < bounds.end[place]}
        await self._consumer.assign(left)
        buffers: dict[Place, deque[Timed]] = {place: deque() for place in left}
        latest = dict.fromkeys(left, 0)
        while buffers:
            empty = [place for place, buffer in buffers.items() if not buffer and place in left]
            if empty:
                await self._fill(empty, fetch, bounds.end, left, buffers, latest)
            for place in [one for one in buffers if not buffers[one] and one not in left]:
                del buffers[place]
            if all(buffers.values()) and buffers:
                yield list(_merged(buffers, left))
            await asyncio.sleep(0)

    async def stop(self) -> None:
        """End the consumer."""
        await self._consumer.stop()

    async def _fill(
        self,
        wanted: list[Place],
        fetch: int,
        ends: Mapping[Place, int],
        left: dict[Place, int],
        buffers: dict[Place, deque[Timed]],
        latest: dict[Place, int],
    ) -> None:
        for span in await self._consumer.poll(wanted, fetch * len(wanted), quota=fetch):
            place = span.place
            for record in span.records:
                if record.offset < ends[place]:
                    latest[place] = max(latest[place], record.timestamp)
                    buffers[place].append(Timed(latest[place], record))
            self._consumer.passed(span)
            left[place] = span.end
            if span.end >= ends[place]:
                del left[place]

    async def _stamp(self, place: Place, offset: int) -> int:
        await self._consumer.assign({place: offset})
        while True:
            for span in await self._consumer.poll([place], 1):
                if span.records:
                    return span.records[0].timestamp
                self._consumer.passed(span)


def _merged(buffers: dict[Place, deque[Timed]], left: Mapping[Place, int]) -> list[Timed]:
    """What is certain to come next: until a buffer is empty whose partition has more."""
    found: list[Timed] = []
    heads = [
        (buffer[0].at, place.partition, buffer[0].record.offset, place)
        for place, buffer in buffers.items()
    ]
    heapify(heads)
    while heads:
        place = heads[0][3]
        buffer = buffers[place]
        found.append(buffer.popleft())
        if buffer:
            heapreplace(heads, (buffer[0].at, place.partition, buffer[0].record.offset, place))
        elif place in left:
            break
        else:
            heappop(heads)
    return found
