"""A1: a group consumer delivers records before the assignment listener has finished.

A2: an exception in that listener is logged and swallowed, and consumption starts anyway. Our
partitions are assigned by leases: nothing is read before a claim returned, and nothing after a
claim that failed.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

from aiokafka import ConsumerRebalanceListener, TopicPartition

from shared.contracts.dead_letter import Failure
from shared.errors import Infrastructure
from shared.kafka.guard import GuardedConsumer
from shared.kafka.records import Place, Span
from shared.observability.health import Health
from shared.postgres.leases import Position
from shared.runtime.commit import Epochs
from shared.runtime.stream_worker import StreamWorker
from tests.hazards.bare import bare_consumer, guarded_consumer, produce

TRUE_POSITION = 7
"""Where the state says the partition stands; Kafka's own position says 3."""
KAFKA_POSITION = 3
SLOW = 1.5


class Listener(ConsumerRebalanceListener):  # type: ignore[misc]
    """Seeks to the true position, slowly or never."""

    def __init__(self, consumer: Any, *, fails: bool) -> None:
        self._consumer = consumer
        self._fails = fails
        self.finished = False

    async def on_partitions_revoked(self, revoked: object) -> None:
        """Nothing to give back."""

    async def on_partitions_assigned(self, assigned: Sequence[TopicPartition]) -> None:
        """What a service would do here: look the position up and seek."""
        if self._fails:
            raise ConnectionError("the database is away")
        await asyncio.sleep(SLOW)
        for partition in assigned:
            self._consumer.seek(partition, TRUE_POSITION)
        self.finished = True


async def first_offsets(broker: str, topic: str, *, fails: bool) -> tuple[list[int], bool]:
    """Offsets a bare group consumer delivers first, and whether its listener had finished."""
    await produce(broker, topic, 10)
    partition = TopicPartition(topic, 0)
    async with bare_consumer(broker, group_id=topic) as consumer:
        consumer.assign([partition])
        await consumer.commit({partition: KAFKA_POSITION})
    async with bare_consumer(broker, group_id=topic) as consumer, asyncio.timeout(30):
        listener = Listener(consumer, fails=fails)
        consumer.subscribe([topic], listener=listener)
        while True:
            fetched = await consumer.getmany(timeout_ms=100)
            if fetched:
                return [r.offset for rs in fetched.values() for r in rs], listener.finished


class Keeper:
    """A lease keeper whose claims are slow, or fail a few times first."""

    group = "hazard"

    def __init__(self, place: Place, *, failures: int, delay: float) -> None:
        self.epochs: dict[Place, int] = {}
        self.claimed = False
        self._place = place
        self._failures = failures
        self._delay = delay

    async def known(self) -> set[Place]:
        return {self._place}

    async def tick(self) -> list[Place]:
        await asyncio.sleep(self._delay)
        if self._failures:
            self._failures -= 1
            raise Infrastructure("postgres", "away")
        self.claimed = True
        self.epochs[self._place] = 1
        return []

    async def reread(self, places: Sequence[Place]) -> dict[Place, Position]:
        return dict.fromkeys(places, Position(1, TRUE_POSITION))

    async def leave(self) -> None:
        """Nothing to give back."""


async def read_through_worker(guard: GuardedConsumer, place: Place, keeper: Keeper) -> list[int]:
    """The offsets the stream worker applies; fails if any came before the claim."""
    applied: list[int] = []
    stopping = asyncio.Event()

    async def commit(
        spans: Sequence[Span], epochs: Epochs, poison: Failure | None, attempts: int
    ) -> None:
        assert keeper.claimed, "applied before the claim"
        applied.extend(record.offset for span in spans for record in span.records)
        if applied[-1] == 9:
            stopping.set()

    async def discover() -> set[Place]:
        return {place}

    worker = StreamWorker(
        consumer=guard,
        keeper=keeper,  # type: ignore[arg-type]  # a stand-in with the five things the loop uses
        discover=discover,
        commit=commit,
        health=Health("hazard", {}),
    )
    async with asyncio.timeout(30):
        await worker.run(stopping)
    return applied


async def test_a1_bare_client_delivers_before_the_listener_is_done(broker: str, topic: str) -> None:
    offsets, finished = await first_offsets(broker, topic, fails=False)
    assert offsets[0] == KAFKA_POSITION
    assert not finished


async def test_a1_worker_reads_nothing_before_a_slow_claim_returns(broker: str, topic: str) -> None:
    await produce(broker, topic, 10)
    place = Place(topic, 0)
    async with guarded_consumer(broker, topic) as guard:
        applied = await read_through_worker(guard, place, Keeper(place, failures=0, delay=SLOW))
    assert applied == [7, 8, 9]


async def test_a2_bare_client_goes_on_after_a_failed_listener(broker: str, topic: str) -> None:
    offsets, finished = await first_offsets(broker, topic, fails=True)
    assert offsets[0] == KAFKA_POSITION
    assert not finished


async def test_a2_worker_reads_nothing_after_a_failed_claim(broker: str, topic: str) -> None:
    await produce(broker, topic, 10)
    place = Place(topic, 0)
    async with guarded_consumer(broker, topic) as guard:
        applied = await read_through_worker(guard, place, Keeper(place, failures=3, delay=0.2))
    assert applied == [7, 8, 9]
