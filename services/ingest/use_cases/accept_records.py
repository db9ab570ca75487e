"""Turns raw records of `channel.*` into touchpoints: the stateless handler of the ingest worker.

What a publisher got wrong becomes a dead letter with its reason, and its neighbours go on. Ids are
derived from what was published, so doing a batch again gives the same touchpoints.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial

from services.ingest.domain.dialect import read_touchpoint
from services.ingest.domain.discovery import Discovery
from services.ingest.domain.identifiers import strongest
from services.ingest.domain.source import Sources
from services.ingest.domain.tracking_plan import TrackingPlan
from services.ingest.storage.registry import Registry
from shared.contracts.dead_letter import Failure
from shared.contracts.topics import Topics
from shared.contracts.touchpoint import RawPosition, Touchpoint, touchpoint_encoder
from shared.errors import InvalidData
from shared.kafka.messages import OutboxBuffer, PartitionCounts
from shared.observability import metrics
from shared.runtime.crash import crash_point
from shared.runtime.records import Handled, Record

DOOR = "kafka"
CRASH_POINTS = ("ingest.read",)
"""Points of this handler at which a test may kill the process."""


class AcceptRecords:
    """The handler; keeps nothing but its wiring; what it discovers is written by others."""

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

    async def __call__(self, records: Sequence[Record]) -> Handled:
        """Read every record.

        Raises Infrastructure when sources, topics or the tracking plan cannot be looked up.
        """
        sources = Sources(await self._registry.sources(), self._allow_unregistered)
        plan = self._plan()
        handled = Handled(OutboxBuffer(self._counts))
        channels = {record.topic: self._channel(record.topic) for record in records}
        failed: Counter[tuple[str, str]] = Counter()
        read: list[Touchpoint] = []
        for record in records:
            channel = channels[record.topic]
            try:
                touchpoint = _read(record, channel, sources)
                read.append(touchpoint)
                source = sources.registered.get(touchpoint.source)
                if source is not None and source.tracking != "off":
                    plan.hold(touchpoint, source.tracking)
                handled.messages.add(
                    self._topics.touchpoints,
                    _key(touchpoint),
                    touchpoint_encoder.encode(touchpoint),
                )
            except InvalidData as error:
                handled.reject(record, Failure(error.reason, _detail(error)))
                failed[channel, error.reason] += 1
        crash_point("ingest.read")
        arrived = Counter(channels[record.topic] for record in records)
        sizes = [len(record.value or b"") for record in records]
        handled.after_commit.append(partial(_report, arrived, failed, sizes))
        handled.after_commit.append(partial(self._discovery.note_all, read))
        return handled

    def _channel(self, topic: str) -> str:
        channel = self._topics.channel_of(topic)
        if channel is None:
            raise ValueError(f"{topic} is not the topic of a channel")
        return channel


def _read(record: Record, channel: str, sources: Sources) -> Touchpoint:
    return read_touchpoint(
        record.value,
        raw=RawPosition(record.topic, record.partition, record.offset),
        timestamp=record.timestamp,
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
