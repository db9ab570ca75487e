"""The one loop that reads Kafka: claim, poll, apply, pass on; used by every service.

It owns what handlers must not care about: which partitions are ours, where they stand, what to do
when a batch fails, and how to stop. Failures are classified once: infrastructure is tried again for
ever, a record that fails alone three times for an unknown reason becomes a dead letter, a partition
that cannot go on without loss stops and says so.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from shared import clock
from shared.contracts.dead_letter import Failure
from shared.errors import Fenced, Infrastructure, PartitionStopped
from shared.kafka.guard import POLL_MS, GuardedConsumer
from shared.kafka.records import Place, Span
from shared.observability import metrics
from shared.observability.health import Health
from shared.runtime.breaker import Breaker
from shared.runtime.commit import Epochs
from shared.runtime.crash import crash_point
from shared.runtime.halving import halves
from shared.runtime.leases import TICK_SECONDS, LeaseKeeper
from shared.runtime.slices import Slices
from shared.runtime.waiting import wait

logger = logging.getLogger(__name__)

MAX_RECORDS = 1000
BESIDE_MS = 10
"""How long to wait for records of calm partitions before the next slice of a crowded one."""
TRIES = 3
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
MIRROR_SECONDS = 2.0
UNREADY_SECONDS = 5.0
"""Pauses that last longer than this make the process not ready."""


class Commit(Protocol):
    """One of the two ways a batch becomes final (see shared.runtime.commit)."""

    async def __call__(
        self, spans: Sequence[Span], epochs: Epochs, poison: Failure | None, attempts: int
    ) -> None: ...


class StreamWorker:
    """Reads the partitions that the keeper owns and applies them batch by batch."""

    def __init__(
        self,
        *,
        consumer: GuardedConsumer,
        keeper: LeaseKeeper,
        discover: Callable[[], Awaitable[set[Place]]],
        commit: Commit,
        health: Health,
        max_records: int = MAX_RECORDS,
        slices_beside: bool = False,
    ) -> None:
        """`slices_beside`: the commit may be called for other partitions before it has returned."""
        self._consumer = consumer
        self._keeper = keeper
        self._discover = discover
        self._commit = commit
        self._max_records = max_records
        self._slices = Slices(max_records)
        self._slices_beside = slices_beside
        self._slice: asyncio.Task[None] | None = None
        self._busy: set[Place] = set()
        self._health = health
        self._breaker = Breaker()
        self._rows: set[Place] = set()
        self._doubtful: set[Place] = set()
        self._next_tick = 0.0
        self._next_mirror = 0.0
        self._pause = FIRST_PAUSE
        self.stopped: dict[Place, str] = {}
        self.pausing_since: float | None = None
        self.watermarks: dict[Place, float] = {}

    @property
    def owned(self) -> dict[Place, int]:
        """The partitions being read and the next offset of each."""
        return dict(self._consumer.expected)

    async def run(self, stopping: asyncio.Event) -> None:
        """Work until told to stop; then give everything back."""
        while not stopping.is_set():
            try:
                await self._step()
                self._pause = FIRST_PAUSE
                self._went_on()
            except Infrastructure as error:
                self._paused(error)
                logger.warning("%s: again in %.1f s: %s", self._keeper.group, self._pause, error)
                await wait(stopping, self._pause)
                self._pause = min(self._pause * 2, LONGEST_PAUSE)
        await self._give_back()

    def _paused(self, error: Infrastructure) -> None:
        """Something is away: after a while readiness says so, whatever its own checks say."""
        metrics.RETRIES.labels(failure="infrastructure").inc()
        now = clock.monotonic_seconds()
        self.pausing_since = now if self.pausing_since is None else self.pausing_since
        if now - self.pausing_since > UNREADY_SECONDS:
            self._health.hold("stream", str(error))

    def _went_on(self) -> None:
        if self.pausing_since is not None:
            self.pausing_since = None
            self._health.release("stream")

    async def _step(self) -> None:
        if self._slice is not None and self._slice.done():
            await self._join_slice()
        await self._settle()
        now = clock.monotonic_seconds()
        if now >= self._next_tick:
            await self._rebalance()
            self._next_tick = now + TICK_SECONDS
        started = clock.monotonic_seconds()
        waiting = {
            place: self._consumer.waiting(place)
            for place in self._consumer.expected
            if place not in self.stopped
        }
        quota = self._slices.quota(waiting, started)
        ready = sorted(waiting, key=waiting.__getitem__)
        if self._slice is not None:
            ready = [one for one in ready if one not in self._busy | self._slices.crowded]
        wait_ms = POLL_MS if self._slice is None else BESIDE_MS
        if not ready:
            await asyncio.sleep(TICK_SECONDS / 5)
            return
        try:
            spans = await self._consumer.poll(
                ready, self._max_records, quota=quota, wait_ms=wait_ms
            )
        except PartitionStopped as stop:
            self._stop(stop, ready)
            return
        if spans:
            crash_point("runtime.fetched")
            metrics.BATCH_SECONDS.labels(stage="fetch").observe(clock.monotonic_seconds() - started)
            await self._finish(spans)
        if now >= self._next_mirror:
            self._next_mirror = now + MIRROR_SECONDS
            await self._mirror()

    async def _rebalance(self) -> None:
        """Follow the leases: what we own and do not read comes in, what is surplus goes out."""
        await self._ensure_rows()
        surplus = await self._keeper.tick()
        if surplus:
            await self._join_slice()
            await self._drop(surplus)
            await self._keeper.release(surplus)
        unread = sorted(self._keeper.epochs.keys() - self._consumer.expected.keys())
        if unread:
            positions = await self._keeper.reread(unread)
            await self._consumer.assign(
                self._consumer.expected
                | {place: position.next_offset for place, position in positions.items()}
            )

    async def _ensure_rows(self) -> None:
        """A partition seen for the first time gets its row, at the partition's beginning."""
        found = await self._discover()
        if found <= self._rows:
            return
        self._rows |= await self._keeper.known()
        missing = found - self._rows
        if missing:
            await self._keeper.ensure(await self._consumer.beginnings(missing))
            self._rows |= missing

    async def _mirror(self) -> None:
        """Show the positions to lag tools; that nobody can be told of them stops nothing."""
        try:
            await self._consumer.mirror()
        except Infrastructure as error:
            logger.warning("%s: positions could not be mirrored: %s", self._keeper.group, error)
        crash_point("runtime.mirrored")

    async def _finish(self, spans: list[Span]) -> None:
        """Apply the spans; whatever is not applied is read again from where its lease stands."""
        self._doubtful.update(span.place for span in spans)
        for turn in self._slices.turns(spans, clock.monotonic_seconds()):
            if self._slices_beside and turn[0].place in self._slices.crowded:
                self._busy = {span.place for span in turn}
                self._slice = asyncio.create_task(self._apply_turn(turn))
            else:
                await self._apply_turn(turn)

    async def _apply_turn(self, turn: list[Span]) -> None:
        started = clock.monotonic_seconds()
        places = [span.place for span in turn]
        try:
            await self._apply(turn)
        except Fenced as error:
            logger.warning("%s", error)
        except PartitionStopped as stop:
            self._stop(stop, places)
        else:
            self._doubtful.difference_update(places)
        self._slices.took(turn, started, clock.monotonic_seconds())

    async def _join_slice(self) -> None:
        """Wait for the slice that is applied beside, if one is. Raises as applying does."""
        task, self._slice = self._slice, None
        if task is not None:
            try:
                await task
            finally:
                self._busy = set()

    async def _apply(self, spans: list[Span]) -> None:
        """Apply together; when that fails for an unknown reason, halve until one stands alone."""
        count = sum(len(span.records) for span in spans)
        started = clock.monotonic_seconds()
        failure: Exception | None = None
        for attempt in range(1, TRIES + 1):
            failure = await self._attempt(spans, attempt)
            if failure is None:
                break
            if count > 1:
                for half in halves(spans):
                    await self._apply(half)
                return
        if failure is not None:
            await self._bury(spans, failure)
        else:
            self._breaker.passed(count)
        for span in spans:
            self._consumer.passed(span)
            if span.records:
                self.watermarks[span.place] = span.records[-1].timestamp / 1000
        metrics.BATCH_RECORDS.observe(count)
        metrics.BATCH_SECONDS.labels(stage="commit").observe(clock.monotonic_seconds() - started)

    async def _attempt(self, spans: list[Span], attempt: int) -> Exception | None:
        """None when the batch is final, else the unknown error that undid it."""
        try:
            await self._commit(spans, self._keeper.epochs, None, attempt)
        except (Fenced, Infrastructure, PartitionStopped):
            raise
        except Exception as error:
            metrics.RETRIES.labels(failure="unknown").inc()
            logger.exception("a batch failed, attempt %d", attempt)
            return error
        return None

    async def _bury(self, spans: list[Span], error: Exception) -> None:
        """Dead-letter the one record that failed three times, unless too many do."""
        place = str(next((span.place for span in spans if span.records), spans[0].place))
        if self._breaker.failed():
            raise PartitionStopped(
                place, "too many records fail for an unknown reason; see the log"
            )
        failure = Failure("unknown_error", f"{type(error).__name__}: {error}")
        try:
            await self._commit(spans, self._keeper.epochs, failure, TRIES)
        except (Fenced, Infrastructure, PartitionStopped):
            raise
        except Exception as last:
            raise PartitionStopped(place, f"its dead letter cannot be written: {last}") from last

    def _stop(self, stop: PartitionStopped, among: Sequence[Place]) -> None:
        """Read the partition no further; it stays ours, and readiness says why."""
        places = [place for place in among if str(place) == stop.partition] or list(among)
        for place in places:
            self.stopped[place] = stop.detail
            logger.error("%s stopped: %s", place, stop.detail)
        self._report_stopped()

    def _report_stopped(self) -> None:
        if self.stopped:
            reasons = [f"{place}: {detail}" for place, detail in sorted(self.stopped.items())]
            self._health.hold("partitions", "; ".join(reasons[:5]))
        else:
            self._health.release("partitions")

    async def _settle(self) -> None:
        """Believe the lease rows, not memory, about partitions whose last batch is in doubt."""
        doubtful = self._doubtful - self._busy
        if not doubtful:
            return
        ours = await self._keeper.reread(sorted(doubtful))
        for place, position in ours.items():
            self._consumer.seek(place, position.next_offset)
        await self._drop([place for place in doubtful if place not in ours])
        self._doubtful -= doubtful

    async def _drop(self, places: Sequence[Place]) -> None:
        """Stop reading partitions that are not ours any more, or soon will not be."""
        if not places:
            return
        for place in places:
            self.stopped.pop(place, None)
        kept = {
            place: offset
            for place, offset in self._consumer.expected.items()
            if place not in places
        }
        await self._consumer.assign(kept)
        self._report_stopped()

    async def _give_back(self) -> None:
        """A clean end: mirror the positions, leave the group at once instead of by time-out."""
        try:
            await self._join_slice()
            await self._settle()
            await self._mirror()
            await self._keeper.leave()
        except Infrastructure as error:
            logger.warning("%s: left without a good-bye: %s", self._keeper.group, error)
        await self._consumer.stop()
