"""How far this process is behind, by topic, worked out at the moment of the scrape.

The worker notes each partition's position; the age is computed when Prometheus asks, so that it
goes on growing while a worker hangs. Partitions are folded into their topic (sum of messages,
oldest watermark), which bounds the series; the log and `/readyz` name the partition.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from shared import clock
from shared.observability.registry import Entry, describe

MESSAGES = Entry(
    "concert_consumer_lag_messages",
    "gauge",
    "Records waiting behind the position of this process, over its partitions of the topic.",
    "The worker notes it after each batch and each empty poll.",
    "Runbook lag-growing.",
    {"topic": ()},
)
SECONDS = Entry(
    "concert_consumer_lag_seconds",
    "gauge",
    "Age of the oldest watermark of the topic's partitions; near 0 when nothing waits.",
    "Computed at each scrape, so it grows while a worker hangs.",
    "Runbook lag-growing.",
    {"topic": ()},
)
WATERMARK = Entry(
    "concert_watermark_timestamp_seconds",
    "gauge",
    "Everything before this instant (Unix time of the broker) is done, over the topic.",
    "With each batch, and with each empty poll while nothing waits.",
    "It stands still while messages wait: runbook watermark-stalled.",
    {"topic": ()},
)
ASSIGNED = Entry(
    "concert_assigned_partitions",
    "gauge",
    "Partitions of the topic that this process owns.",
    "Partitions were claimed or given away.",
    "0 in all processes of a role: nobody works on the topic; see rebalances and leases.",
    {"topic": ()},
)


@dataclass(slots=True)
class Position:
    """Records still waiting, and the broker time (Unix seconds) up to which all is done."""

    messages: int
    watermark: float


class Lag(Collector):
    """Positions of the partitions this process owns."""

    def __init__(self, label: Callable[[str], str], registry: CollectorRegistry) -> None:
        self._label = label
        self._positions: dict[tuple[str, int], Position] = {}
        for entry in (MESSAGES, SECONDS, WATERMARK, ASSIGNED):
            describe(entry)
        registry.register(self)

    def note(self, topic: str, partition: int, messages: int, watermark: float | None) -> None:
        """Note a position.

        `messages` still wait; `watermark` is the broker time (Unix seconds) of the last record
        done. Nothing waiting means that all is done up to now, whatever the watermark. None keeps
        the former watermark (now for a partition that was just claimed).
        """
        known = self._positions.get((topic, partition))
        if messages == 0:
            watermark = clock.unix_seconds()
        elif watermark is None:
            watermark = known.watermark if known else clock.unix_seconds()
        self._positions[topic, partition] = Position(messages, watermark)

    def forget(self, topic: str, partition: int) -> None:
        """The partition is no longer this process's."""
        self._positions.pop((topic, partition), None)

    def collect(self) -> Iterator[Metric]:
        """The four families, one sample for each topic."""
        topics: dict[str, list[Position]] = {}
        for (topic, _), position in self._positions.items():
            topics.setdefault(self._label(topic), []).append(position)
        now = clock.unix_seconds()
        families = [
            GaugeMetricFamily(entry.name, entry.description, labels=["topic"])
            for entry in (MESSAGES, SECONDS, WATERMARK, ASSIGNED)
        ]
        for topic, positions in sorted(topics.items()):
            oldest = min(position.watermark for position in positions)
            values = (
                sum(position.messages for position in positions),
                max(0.0, now - oldest),
                oldest,
                len(positions),
            )
            for family, value in zip(families, values, strict=True):
                family.add_metric([topic], value)
        yield from families
