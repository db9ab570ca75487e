"""Publishes the outbox: one owner a shard, in order of row ids, and deletes what was acknowledged.

The owner of a shard is the only one that publishes its rows. Two publishers could overtake each
other, and a receiver that saw a later `seq` first would have to drop the earlier one as old. A
crash between the acknowledgement and the delete sends the same messages again; receivers drop
them. There is no cursor: rows become visible out of order of their ids, and a cursor would skip
some for ever; `outbox_marks` says up to where there can be none.
"""

import asyncio
import logging
from collections import Counter

from sqlalchemy.ext.asyncio import AsyncEngine

from shared import clock
from shared.errors import Infrastructure
from shared.kafka.messages import Message
from shared.kafka.publisher import Publisher
from shared.kafka.records import Place
from shared.observability import metrics
from shared.postgres import outbox
from shared.postgres.direct import direct
from shared.postgres.outbox import SHARDS, Frame
from shared.postgres.transaction import transaction
from shared.runtime.crash import crash_point
from shared.runtime.leases import TICK_SECONDS, LeaseKeeper
from shared.runtime.outbox_marks import OutboxMarks
from shared.runtime.waiting import wait

logger = logging.getLogger(__name__)

RELAY_GROUP = "relay"
POLL_SECONDS, LONGEST_POLL_SECONDS = 0.02, 0.1
"""How long to wait for frames that another process committed: longer while there are none, because
an idle process must cost little. What this process commits wakes the relay at once."""
PACE_SECONDS = 0.02
"""From the beginning of a round to that of the next: what many commit one by one is published,
acknowledged and deleted together. A round that did not reach the end of the outbox has no pace."""
FRAMES_A_SHARD = 4
PAUSE_SECONDS = 0.5
MEASURE_SECONDS = 1.0
MEASURE_SHARE = 20
"""After a measurement it rests so many times as long as that took: it has to walk over deleted rows
while a snapshot is open."""


def shard_place(shard: int) -> Place:
    """The lease row of a shard."""
    return Place("outbox", shard)


class Relay:
    """The relay of one process; it publishes for the shards whose leases it holds."""

    def __init__(self, engine: AsyncEngine, *, keeper: LeaseKeeper, publisher: Publisher) -> None:
        self._engine = engine
        self._keeper = keeper
        self._publisher = publisher
        self._unsure: set[int] = set()
        self._marks = OutboxMarks()
        self._next_tick = 0.0
        self.wake = asyncio.Event()

    async def run(self, stopping: asyncio.Event) -> None:
        """Publish until told to stop; then for one round more, and give the shards back."""
        await self._ensure_rows(stopping)
        poll = POLL_SECONDS
        while not stopping.is_set():
            self.wake.clear()
            begun = clock.monotonic_seconds()
            try:
                frames = await self.step()
                if frames:
                    poll = POLL_SECONDS
                    if max(Counter(frame.shard for frame in frames).values()) < FRAMES_A_SHARD:
                        rest = begun + PACE_SECONDS - clock.monotonic_seconds()
                        await wait(stopping, max(0.0, rest))
                else:
                    await wait(self.wake, poll)
                    poll = min(2 * poll, LONGEST_POLL_SECONDS)
            except Infrastructure as error:
                metrics.OUTBOX_ERRORS.inc()
                self._unsure.update(place.partition for place in self._keeper.epochs)
                self._marks = (
                    OutboxMarks()
                )  # who comes back may be another database, of an older state
                logger.warning("relay: again in %.1f s: %s", PAUSE_SECONDS, error)
                await wait(stopping, PAUSE_SECONDS)
        await self._give_back()

    async def step(self) -> list[Frame]:
        """One round: what it published. Raises Infrastructure."""
        now = clock.monotonic_seconds()
        if now >= self._next_tick:
            await self._rebalance()
            self._next_tick = now + TICK_SECONDS
        return await self._publish_oldest()

    async def measure(self, stopping: asyncio.Event) -> None:
        """Show how much waits, from a task of its own: also while publishing hangs."""
        while not stopping.is_set():
            begun = clock.monotonic_seconds()
            try:
                async with transaction(self._engine) as tx:
                    backlog = await outbox.backlog(tx)
            except Infrastructure as error:
                logger.warning("relay: the outbox could not be measured: %s", error)
            else:
                metrics.OUTBOX_PENDING.set(backlog.frames)
                metrics.OUTBOX_OLDEST.set(backlog.oldest_seconds)
            took = clock.monotonic_seconds() - begun
            await wait(stopping, max(MEASURE_SECONDS, MEASURE_SHARE * took))

    async def _publish_oldest(self) -> list[Frame]:
        shards = sorted(place.partition for place in self._keeper.epochs)
        if not shards:
            return []
        async with direct(self._engine) as tx:
            found = await outbox.read(tx, self._marks.above(shards), FRAMES_A_SHARD)
        self._marks.found(found)
        if not found.frames:
            self._unsure.clear()
            self._marks.gone(shards, [], FRAMES_A_SHARD)
            return []
        crash_point("relay.read")
        await self._publish(found.frames)
        crash_point("relay.before_delete")
        ours = await self._delete(found.frames)
        crash_point("relay.after_delete")
        self._marks.gone(ours, found.frames, FRAMES_A_SHARD)
        return found.frames

    async def _publish(self, frames: list[Frame]) -> None:
        batches: dict[tuple[str, int], list[Message]] = {}
        for frame in frames:
            messages = outbox.decode_frame(frame.frame)
            batches.setdefault((frame.topic, frame.partition), []).extend(messages)
            if frame.shard in self._unsure:
                metrics.RELAY_RESENT.inc(len(messages))
        await self._publisher.publish(batches.items())
        crash_point("relay.produced")
        for (topic, _), messages in batches.items():
            label = metrics.topic_label(topic)
            metrics.OUTBOX_PUBLISHED.labels(topic=label).inc(len(messages))
        self._unsure.clear()

    async def _delete(self, frames: list[Frame]) -> list[int]:
        """Delete the rows of shards that are still ours, and return these; the others are their new
        owner's."""
        epochs = self._keeper.epochs
        places = {shard_place(frame.shard) for frame in frames}
        owned = {place: epochs[place] for place in places if place in epochs}
        async with direct(self._engine) as tx:
            ours = await outbox.delete(tx, frames, RELAY_GROUP, owned)
        for place in sorted(owned.keys() - ours):
            if epochs.pop(place, None) is not None:
                metrics.FENCED.inc()
                logger.warning("relay: shard %d belongs to another process", place.partition)
        return [place.partition for place in ours]

    async def _rebalance(self) -> None:
        before = set(self._keeper.epochs)
        surplus = await self._keeper.tick()
        self._unsure.update(place.partition for place in self._keeper.epochs.keys() - before)
        await self._keeper.release(surplus)

    async def _ensure_rows(self, stopping: asyncio.Event) -> None:
        while not stopping.is_set():
            try:
                await self._keeper.ensure({shard_place(shard): 0 for shard in range(SHARDS)})
            except Infrastructure as error:
                logger.warning("relay: cannot start yet: %s", error)
                await wait(stopping, PAUSE_SECONDS)
            else:
                return

    async def _give_back(self) -> None:
        try:
            await self._publish_oldest()
            await self._keeper.leave()
        except Infrastructure as error:
            logger.warning("relay: left without a good-bye: %s", error)
        await self._publisher.close()
