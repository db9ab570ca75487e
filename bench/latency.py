"""How long an event takes to become an action, at a paced load."""

import asyncio
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer, TopicPartition  # noqa: TID251 - built by the factory

from bench import machine
from bench.load import LoadEvent
from bench.pipeline import ACTION_CHANNEL, CHANNEL, TOPICS
from bench.publish import PARTITIONS, pace
from bench.stage import Stage
from shared.contracts.action import action_decoder
from shared.kafka.factory import build_consumer

PATIENCE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class LatencyRun:
    """Latencies in milliseconds, from when the event was due to when the action was read.

    `stolen` is the share of all cores' time that the host gave to others meanwhile.
    """

    rate: float
    events: int
    expected: int
    doubled: int
    unexpected: int
    milliseconds: list[float]
    stolen: float

    def percentile(self, share: float) -> float:
        """The latency that this share of actions did not exceed."""
        ordered = sorted(self.milliseconds)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


class _Actions:
    """Reads the actions topic from its end and keeps the first arrival of each action."""

    def __init__(self, consumer: AIOKafkaConsumer) -> None:
        self._consumer = consumer
        self.arrived: dict[str, float] = {}
        self.doubled = 0

    def have(self, wanted: Iterable[str]) -> bool:
        """Whether all of these actions have arrived."""
        return all(one in self.arrived for one in wanted)

    async def read(self) -> None:
        """Read until cancelled."""
        while True:
            fetched = await self._consumer.getmany(timeout_ms=200)
            now = time.time()
            for record in (record for some in fetched.values() for record in some):
                action_id = action_decoder.decode(record.value).action_id
                self.doubled += action_id in self.arrived
                self.arrived.setdefault(action_id, now)


async def run_latency(stage: Stage, events: Sequence[LoadEvent], rate: float) -> LatencyRun:
    """Publish at `rate` a second and wait for every action that has to come."""
    due: dict[str, float] = {}
    consumer = build_consumer(stage.kafka, group=None, client_id="bench-actions")
    await consumer.start()
    topic = TOPICS.actions(ACTION_CHANNEL)
    assigned = [TopicPartition(topic, number) for number in range(PARTITIONS)]
    consumer.assign(assigned)
    await consumer.seek_to_end(*assigned)
    actions = _Actions(consumer)
    reading = asyncio.create_task(actions.read())
    begun, stolen_before = time.monotonic(), machine.stolen_seconds()

    def sent(event: LoadEvent, moment: float) -> None:
        if event.action_id is not None:
            due[event.action_id] = moment

    try:
        await pace(stage.kafka, TOPICS.channel(CHANNEL), events, rate, sent)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not actions.have(due) and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        stolen = machine.stolen_seconds() - stolen_before
        stolen /= machine.cores() * (time.monotonic() - begun)
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        await consumer.stop()
    return LatencyRun(
        rate=rate,
        events=len(events),
        expected=len(due),
        doubled=actions.doubled,
        unexpected=len(actions.arrived.keys() - due.keys()),
        milliseconds=[
            (actions.arrived[one] - moment) * 1000
            for one, moment in due.items()
            if one in actions.arrived
        ],
        stolen=stolen,
    )
