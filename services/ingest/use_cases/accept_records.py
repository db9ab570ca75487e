"""Turns raw records of `channel.*` into touchpoints: the stateless handler of the ingest worker.

What a publisher got wrong becomes a dead letter with its reason, and its neighbours go on. Ids are
derived from what was published, so doing a batch again gives the same touchpoints.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial

from services.ingest.domain.dialect import read_touchpoints
from services.ingest.domain.discovery import Discovery
from services.ingest.domain.failed_event import Copy, copy_of, milliseconds
from services.ingest.domain.glimpse import glimpse
from services.ingest.domain.identifiers import strongest
from services.ingest.domain.source import Sources
from services.ingest.domain.tracking_plan import TrackingPlan
from services.ingest.domain.webhook import Reads
from services.ingest.storage.registry import Registry
from shared.contracts.dead_letter import Failure
from shared.contracts.topics import Topics
from shared.contracts.touchpoint import RawPosition, Touchpoint, touchpoint_encoder
from shared.errors import InvalidData
from shared.kafka.messages import OutboxBuffer, PartitionCounts
from shared.kafka.records import Place
from shared.observability import metrics
from shared.runtime.crash import crash_point
from shared.runtime.records import Handled, Record

DOOR = "kafka"
CRASH_POINTS = ("ingest.read",)
"""Points of this handler at which a test may kill the process."""
MAX_STRANGERS = 10_000
"""Names of unregistered sources that are remembered, so as not to be looked up each time."""


class AcceptRecords:
    """The handler; keeps its wiring, the registry's copy of the sources, and strangers' names."""

    def __init__(
        self,
        *,
        topics: Topics,
        counts: PartitionCounts,
        registry: Registry,
        allow_unregistered: bool,
        plan: Callable[[], TrackingPlan],
        discovery: Discovery,
    ) -> None:
        self._topics = topics
        self._counts = counts
        self._registry = registry
        self._allow_unregistered = allow_unregistered
        self._plan = plan
        self._discovery = discovery
        self._strangers: set[str] = set()

    async def __call__(self, records: Sequence[Record]) -> Handled:
        """Read every record. Raises Infrastructure when sources or topics cannot be looked up.

        The copy of the sources is seconds old, and a source may publish as soon as it is
        registered: a name that is met for the first time is looked up before it is judged.
        """
        received = await self._replayed(records)
        sources = Sources(await self._registry.sources(), self._allow_unregistered)
        handled = self._read_all(records, sources, received)
        unheard = sources.missed - self._strangers
        if unheard:
            registered = await self._registry.reread()
            if not unheard.isdisjoint(registered):
                sources = Sources(registered, self._allow_unregistered)
                handled = self._read_all(records, sources, received)
            self._remember(sources.missed)
        crash_point("ingest.read")
        return handled

    def _remember(self, strangers: set[str]) -> None:
        if len(self._strangers) + len(strangers) > MAX_STRANGERS:
            self._strangers.clear()
        self._strangers |= strangers

    def _read_all(
        self, records: Sequence[Record], sources: Sources, received: Mapping[Copy, datetime]
    ) -> Handled:
        plan = self._plan()
        handled = Handled(OutboxBuffer(self._counts))
        channels = {record.topic: self._channel(record.topic) for record in records}
        arrived: Counter[str] = Counter()
        failed: Counter[tuple[str, str]] = Counter()
        read: list[Touchpoint] = []
        for record in records:
            channel = channels[record.topic]
            place = Place(record.topic, record.partition)
            try:
                reads = _read(record, channel, sources, received)
            except InvalidData as raised:
                reads = Reads([], [raised])
            touchpoints, errors = reads.touchpoints, list(reads.failures)
            read += touchpoints
            for touchpoint in touchpoints:
                try:
                    _hold(touchpoint, sources, plan)
                    handled.messages.add(
                        self._topics.touchpoints,
                        _key(touchpoint),
                        touchpoint_encoder.encode(touchpoint),
                    )
                except InvalidData as raised:
                    errors.append(raised)
                else:
                    arrived[channel] += 1
                    handled.origins[place, touchpoint.source] += 1
            if errors:
                handled.reject(record, Failure(errors[0].reason, _detail(errors[0])))
                failed.update((channel, error.reason) for error in errors)
                arrived[channel] += len(errors)
            if len(errors) > 1:  # a webhook's: the collector says in a header whose
                source = glimpse(record.value, record.headers, channel).source
                if source is not None:
                    handled.also_failed[place, source] += len(errors) - 1
        sizes = [len(record.value or b"") for record in records]
        handled.after_commit.append(partial(_report, arrived, failed, sizes))
        handled.after_commit.append(partial(self._discovery.note_all, read))
        return handled

    async def _replayed(self, records: Sequence[Record]) -> dict[Copy, datetime]:
        """When the failed events were received that some of the records are replays of."""
        copies = {copy for record in records if (copy := copy_of(record.headers)) is not None}
        return await self._registry.received_first(copies) if copies else {}

    def _channel(self, topic: str) -> str:
        channel = self._topics.channel_of(topic)
        if channel is None:
            raise ValueError(f"{topic} is not the topic of a channel")
        return channel


def _hold(touchpoint: Touchpoint, sources: Sources, plan: TrackingPlan) -> None:
    """Hold the touchpoint against the tracking plan, as its source wants it. Raises InvalidData."""
    source = sources.registered.get(touchpoint.source)
    if source is not None and source.tracking != "off":
        plan.hold(touchpoint, source.tracking)


def _read(
    record: Record, channel: str, sources: Sources, received: Mapping[Copy, datetime]
) -> Reads:
    first = received.get(copy) if received and (copy := copy_of(record.headers)) else None
    return read_touchpoints(
        record.value,
        raw=RawPosition(record.topic, record.partition, record.offset),
        timestamp=record.timestamp if first is None else milliseconds(first),
        headers=record.headers,
        channel=channel,
        sources=sources,
    )


def _key(touchpoint: Touchpoint) -> bytes:
    """The strongest identifier, so that events of one person mostly meet in one partition."""
    identifier = strongest(touchpoint.identifiers)
    if identifier is None:
        return touchpoint.id.encode()
    return f"{identifier.type}:{identifier.value}".encode()


def _detail(error: InvalidData) -> str:
    return error.detail if error.path is None else f"{error.path}: {error.detail}"


def _report(arrived: Counter[str], failed: Counter[tuple[str, str]], sizes: Sequence[int]) -> None:
    published = arrived.copy()
    for (channel, reason), count in failed.items():
        published[channel] -= count
        metrics.EVENTS_FAILED.labels(
            channel=metrics.channel_label(channel), reason=metrics.reason_label(reason)
        ).inc(count)
    for channel, count in arrived.items():
        label = metrics.channel_label(channel)
        metrics.EVENTS_RECEIVED.labels(channel=label, door=DOOR).inc(count)
        metrics.EVENTS_PUBLISHED.labels(channel=label, door=DOOR).inc(published[channel])
    observe = metrics.EVENT_PAYLOAD_BYTES.labels(door=DOOR).observe
    for size in sizes:
        observe(size)
