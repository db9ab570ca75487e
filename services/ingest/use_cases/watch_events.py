"""Shows events as they arrive to whoever watches: one reader of Kafka for all listeners.

It reads only while somebody listens, from the ends of the topics on, and keeps nothing. A listener
that is slower than the events loses some and is told how many; nobody else waits for it.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec

from services.ingest.domain.live_event import Filter, LiveEvent, failed_event, touchpoint_event
from shared import clock
from shared.contracts.topics import Topics
from shared.errors import Infrastructure
from shared.kafka.catalogue import Catalogue
from shared.kafka.records import Place, Record
from shared.kafka.tail import Tail
from shared.runtime.waiting import wait

logger = logging.getLogger(__name__)

MOST_LISTENERS = 20
MOST_OF_ONE = 4
"""So that one key or token leaves places to the others."""
MOST_EVENTS = 500
MOST_BYTES = 2 * 1024 * 1024
"""What waits for one listener."""
STUCK_SECONDS = 30.0
"""A listener that has taken nothing for so long while events were dropped loses its place."""
AT_ONCE = 500
RETRY_SECONDS = 1.0


class Notice(NamedTuple):
    """Something about the stream itself: `ready`, `dropped`, `interrupted` or `ended`."""

    name: str
    body: dict[str, Any]


READY = Notice("ready", {"detail": "Events that arrive from now on are shown."})
INTERRUPTED = Notice(
    "interrupted", {"detail": "Kafka does not answer; until `ready`, events may be missed."}
)


class Listener:
    """What waits for one who watches."""

    def __init__(self, wanted: Filter, who: str = "") -> None:
        self.wanted = wanted
        self.who = who
        self.ended = False
        self._waiting: deque[LiveEvent | Notice] = deque()
        self._bytes = 0
        self._dropped = 0
        self._taken_at = clock.monotonic_seconds()
        self._wake = asyncio.Event()

    def tell(self, notice: Notice) -> None:
        """Put a notice behind what waits."""
        self._waiting.append(notice)
        self._wake.set()

    def offer(self, event: LiveEvent) -> None:
        """Put an event behind what waits, or count it as dropped when that is too much."""
        full = len(self._waiting) >= MOST_EVENTS or self._bytes + event.size > MOST_BYTES
        if full and self._waiting:
            self._dropped += 1
            if clock.monotonic_seconds() - self._taken_at > STUCK_SECONDS:
                self.end()
            return
        self._say_what_was_dropped()
        self._waiting.append(event)
        self._bytes += event.size
        self._wake.set()

    async def take(self, seconds: float) -> list[LiveEvent | Notice]:
        """All that waits, in order; waits up to `seconds` for something to come."""
        if not self._waiting and not self.ended:
            await wait(self._wake, seconds)
        self._say_what_was_dropped()
        taken = list(self._waiting)
        self._waiting.clear()
        self._bytes = 0
        self._taken_at = clock.monotonic_seconds()
        if not self.ended:
            self._wake.clear()
        return taken

    def end(self) -> None:
        """Nothing comes any more."""
        self.ended = True
        self._wake.set()

    def _say_what_was_dropped(self) -> None:
        if self._dropped:
            self._waiting.append(Notice("dropped", {"count": self._dropped}))
            self._dropped = 0


class LiveEvents:
    """One for each collector; `run` has to run beside it."""

    def __init__(self, bootstrap: str, *, catalogue: Catalogue, topics: Topics) -> None:
        self._bootstrap = bootstrap
        self._catalogue = catalogue
        self._topics = topics
        self._listeners: set[Listener] = set()
        self._reading: bool | None = None  # None: nobody listens, or it only begins
        self._closed = False
        self._wake = asyncio.Event()

    @property
    def is_full(self) -> bool:
        """Whether nobody else may listen."""
        return self._closed or len(self._listeners) >= MOST_LISTENERS

    def has_enough(self, who: str) -> bool:
        """Whether `who` has as many listeners as one may have."""
        return sum(one.who == who for one in self._listeners) >= MOST_OF_ONE

    def join(self, wanted: Filter, who: str) -> Listener | None:
        """A new listener of `who`; None when there is no place."""
        if self.is_full or self.has_enough(who):
            return None
        listener = Listener(wanted, who)
        self._listeners.add(listener)
        if self._reading is not None:
            listener.tell(READY if self._reading else INTERRUPTED)
        self._wake.set()
        return listener

    def leave(self, listener: Listener) -> None:
        """The listener is gone."""
        self._listeners.discard(listener)

    async def run(self, stopping: asyncio.Event) -> None:
        """Read while somebody listens, until told to stop; then end every listener."""
        stopped = asyncio.ensure_future(stopping.wait())
        try:
            while not stopping.is_set():
                self._wake.clear()
                if self._listeners:
                    await self._read_or_pause(stopping)
                    continue
                self._reading = None
                woken = asyncio.ensure_future(self._wake.wait())
                await asyncio.wait({woken, stopped}, return_when=asyncio.FIRST_COMPLETED)
                woken.cancel()
        finally:
            stopped.cancel()
            self._closed = True
            for listener in self._listeners:
                listener.end()

    async def _read_or_pause(self, stopping: asyncio.Event) -> None:
        try:
            await self._read(stopping)
        except Infrastructure as error:
            logger.warning("the live stream is interrupted: %s", error)
            self._set_reading(False)
            await wait(stopping, RETRY_SECONDS)

    async def _read(self, stopping: asyncio.Event) -> None:
        """Read until nobody listens any more or it is told to stop. Raises Infrastructure."""
        tail = Tail(self._bootstrap, client_id="concert-live")
        try:
            await self._catalogue.check()
            await tail.start(self._places())
            while self._listeners and not stopping.is_set():
                self._set_reading(await self._kafka_answers())
                await tail.follow(self._places())
                self._show(await tail.poll(AT_ONCE))
                self._listeners = {one for one in self._listeners if not one.ended}
        finally:
            await tail.stop()

    async def _kafka_answers(self) -> bool:
        """Whether silence means that nothing came: the consumer itself never says otherwise."""
        try:
            await self._catalogue.check()
        except Infrastructure:
            return False
        return True

    def _set_reading(self, reading: bool) -> None:
        """Tell every listener when what is shown begins, or is no longer everything."""
        if reading != self._reading:
            self._reading = reading
            for listener in self._listeners:
                listener.tell(READY if reading else INTERRUPTED)

    def _places(self) -> list[Place]:
        """The partitions of `touchpoints` and of the dead letters of every channel."""
        return [
            Place(topic, partition)
            for topic, count in self._catalogue.known.items()
            if topic == self._topics.touchpoints
            or self._topics.failing_channel_of(topic) is not None
            for partition in range(count)
        ]

    def _show(self, records: Iterable[Record]) -> None:
        for record in records:
            event = self._event(record)
            if event is None:
                continue
            for listener in self._listeners:
                if listener.wanted.passes(event):
                    listener.offer(event)

    def _event(self, record: Record) -> LiveEvent | None:
        channel = self._topics.failing_channel_of(record.topic)
        if channel is not None:
            return failed_event(record.value, record.headers, channel)
        try:
            return touchpoint_event(record.value or b"")
        except msgspec.MsgspecError as error:  # the profile worker stops there and says so
            logger.warning(
                "%s-%d offset %d is no touchpoint: %s",
                *(record.topic, record.partition, record.offset, error),
            )
            return None
