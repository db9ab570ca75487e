"""Publishes what many requests collect, in rounds: one produce batch a partition for all of them.

While one round waits for its acknowledgements, the next requests gather. A request is answered only
after all in-sync replicas have its events. Nothing is kept for later: who is told no sends again.
"""

import asyncio
from typing import NamedTuple

from services.ingest.use_cases.recently_taken import RecentlyTaken
from shared.errors import Infrastructure
from shared.kafka.messages import Message, OutboxBuffer, PartitionCounts
from shared.kafka.publisher import Publisher

MAX_WAITING_BYTES = 64 * 1024 * 1024
"""Of keys, values and headers, as they are sent."""
DEADLINE_SECONDS = 10.0


class _Request(NamedTuple):
    messages: OutboxBuffer
    size: int
    acknowledged: asyncio.Future[None]


class GroupPublisher:
    """One for each process; `run` has to run beside the requests.

    `taken` knows the events that were acknowledged last.
    """

    def __init__(
        self,
        publisher: Publisher,
        counts: PartitionCounts,
        *,
        deadline_seconds: float = DEADLINE_SECONDS,
    ) -> None:
        self.taken = RecentlyTaken()
        self._publisher = publisher
        self._counts = counts
        self._deadline_seconds = deadline_seconds
        self._waiting: list[_Request] = []
        self._waiting_bytes = 0
        self._wake = asyncio.Event()

    def buffer(self) -> OutboxBuffer:
        """An empty buffer for the messages of one request."""
        return OutboxBuffer(self._counts)

    async def publish(self, messages: OutboxBuffer) -> None:
        """Return when every message is acknowledged by all in-sync replicas.

        Raises Infrastructure when that cannot be had in time; some messages may be there then.
        """
        size = sum(_size(message) for _, part in messages.items() for message in part)
        if self._waiting and self._waiting_bytes + size > MAX_WAITING_BYTES:
            raise Infrastructure("kafka", "too many events wait for acknowledgements")
        request = _Request(messages, size, asyncio.get_running_loop().create_future())
        self._waiting.append(request)
        self._waiting_bytes += size
        self._wake.set()
        try:
            await asyncio.wait_for(request.acknowledged, self._deadline_seconds)
        except TimeoutError:
            raise Infrastructure(
                "kafka", f"no acknowledgement within {self._deadline_seconds:g} s"
            ) from None

    async def run(self, stopping: asyncio.Event) -> None:
        """Publish rounds until told to stop and nobody waits any more."""
        stopped = asyncio.ensure_future(stopping.wait())
        try:
            while self._waiting or not stopping.is_set():
                if not self._waiting:
                    self._wake.clear()
                    woken = asyncio.ensure_future(self._wake.wait())
                    await asyncio.wait({woken, stopped}, return_when=asyncio.FIRST_COMPLETED)
                    woken.cancel()
                    continue
                await self._round()
        finally:
            stopped.cancel()

    async def _round(self) -> None:
        requests, self._waiting = self._waiting, []
        self._waiting_bytes = 0
        wanted = [request for request in requests if not request.acknowledged.done()]
        places: dict[tuple[str, int], list[Message]] = {}
        for request in wanted:
            for place, messages in request.messages.items():
                places.setdefault(place, []).extend(messages)
        try:
            await self._publisher.publish(places.items())
        except Infrastructure as error:
            for request in wanted:
                if not request.acknowledged.done():
                    request.acknowledged.set_exception(error)
        else:
            for request in wanted:
                if not request.acknowledged.done():
                    request.acknowledged.set_result(None)
            for messages in places.values():  # before anybody who was answered goes on
                self.taken.note(messages)


def _size(message: Message) -> int:
    headers = sum(len(name) + len(content) for name, content in message.headers)
    return len(message.key or b"") + len(message.value or b"") + headers
