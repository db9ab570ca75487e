"""Whether all work is done: what lags behind, hop by hop, read from the lease rows and outboxes."""

from collections import Counter
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition  # noqa: TID251 - built by the factory

from shared.contracts.topics import Topics
from shared.kafka.factory import build_consumer
from tests.support.eventually import eventually
from tests.support.kafka import partitions_of

HOPS = ("ingest", "profile", "orchestrator")
FAILURES = "failures"
"""The side way of what cannot be read: dead letters to failed events, in the schema of ingest."""
SETTLE_SECONDS = 300.0

_PENDING = "SELECT count(*) FROM orchestrator.action WHERE status = 'pending'"


@dataclass(slots=True)
class Work:
    """What there is to do: the input topics of each hop, read through one client."""

    owner: asyncpg.Connection
    consumer: AIOKafkaConsumer
    inputs: Mapping[str, list[TopicPartition]]

    async def left(self) -> dict[str, int]:
        """Records not yet passed by topic, rows of each outbox, actions still waiting, if any.

        What a hop hands over is in the next hop's log or in an outbox, and positions are read
        before the log's ends and the hops in their order: nothing left means all is done.
        """
        found: Counter[str] = Counter()
        for hop, partitions in self.inputs.items():
            schema = "ingest" if hop == FAILURES else hop
            rows = await self.owner.fetch(f"SELECT topic, part, next_offset FROM {schema}.lease")
            positions = {(row["topic"], row["part"]): row["next_offset"] for row in rows}
            if hop != "ingest":
                waiting = await self.owner.fetchval(f"SELECT count(*) FROM {schema}.outbox")
                found[f"{hop} outbox"] = waiting
            ends = await self.consumer.end_offsets(partitions)
            for place, end in ends.items():
                found[place.topic] += end - positions.get((place.topic, place.partition), 0)
        if "orchestrator" in self.inputs:
            found["pending actions"] = await self.owner.fetchval(_PENDING)
        return {name: count for name, count in found.items() if count}


@asynccontextmanager
async def watching(
    owner: asyncpg.Connection,
    kafka: str,
    topics: Topics,
    channels: Collection[str],
    hops: Collection[str] = HOPS,
) -> AsyncIterator[Work]:
    """Look at these hops, of which the first reads these channels."""
    inputs = {
        "ingest": [topics.channel(channel) for channel in channels],
        "profile": [topics.touchpoints],
        "orchestrator": [topics.profile_updates],
        FAILURES: [topics.dead_letters(topics.channel(channel)) for channel in channels],
    }
    partitions = {
        hop: [place for topic in inputs[hop] for place in await partitions_of(kafka, topic)]
        for hop in hops
    }
    consumer = build_consumer(kafka, group=None, client_id="test-watcher")
    await consumer.start()
    try:
        yield Work(owner, consumer, partitions)
    finally:
        await consumer.stop()


async def until_settled(
    owner: asyncpg.Connection,
    kafka: str,
    topics: Topics,
    channels: Collection[str],
    *,
    within: float = SETTLE_SECONDS,
    hops: Collection[str] = HOPS,
) -> None:
    """Wait until nothing is left to do. Fails with what is left after `within` seconds."""
    async with watching(owner, kafka, topics, channels, hops) as work:
        await eventually(
            work.left,
            until=lambda left: not left,
            within=within,
            every=0.3,
            what="everything is done",
        )
