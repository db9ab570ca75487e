"""Topics for tests: make them, publish to them, read them whole."""

import secrets
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from aiokafka import TopicPartition
from aiokafka.structs import ConsumerRecord, RecordMetadata

from deploy.local.topics import create_topics, delete_topics
from shared.contracts.topics import Topics, TopicSpec, default_topics, max_message_bytes
from shared.kafka.factory import build_admin, build_consumer, build_producer

WEEK_MS = 7 * 86_400_000


@dataclass(frozen=True, slots=True)
class Message:
    """A record to publish; `partition` None leaves the choice to its key."""

    topic: str
    value: bytes | None
    key: bytes | None = None
    headers: tuple[tuple[str, bytes], ...] = ()
    partition: int | None = None
    timestamp_ms: int | None = None


def new_prefix() -> str:
    """A topic prefix that no other test has."""
    return f"t{secrets.token_hex(5)}."


@asynccontextmanager
async def standard_topics(
    bootstrap: str, prefix: str, partitions: int = 8, timestamps: str | None = None
) -> AsyncIterator[Topics]:
    """The topics that exist at start, under a prefix; deleted at the end with all under it.

    `timestamps="CreateTime"` lets the test stamp raw records, which the broker does otherwise.
    """
    specs = [
        spec if timestamps is None else replace(spec, timestamps=timestamps)
        for spec in default_topics()
    ]
    await create_topics(bootstrap, prefix=prefix, partitions=partitions, specs=specs)
    try:
        yield Topics(prefix)
    finally:
        await delete_topics(bootstrap, prefix=prefix)


async def create_topic(bootstrap: str, topic: str, partitions: int = 8) -> None:
    """Make one topic by its full name."""
    spec = TopicSpec(topic, max_message_bytes(topic), WEEK_MS)
    await create_topics(bootstrap, prefix="", partitions=partitions, specs=[spec])


async def publish(bootstrap: str, messages: Iterable[Message]) -> list[RecordMetadata]:
    """Publish in order and wait for every ack; where each record went."""
    producer = build_producer(bootstrap, client_id="test-publisher")
    await producer.start()
    try:
        pending = [
            await producer.send(
                message.topic,
                value=message.value,
                key=message.key,
                partition=message.partition,
                timestamp_ms=message.timestamp_ms,
                headers=list(message.headers),
            )
            for message in messages
        ]
        await producer.flush()
        return [await ack for ack in pending]
    finally:
        await producer.stop()


async def read_all(bootstrap: str, topic: str) -> list[ConsumerRecord]:
    """Every record of a topic as it is now, partition by partition, in offset order."""
    partitions = await partitions_of(bootstrap, topic)
    consumer = build_consumer(bootstrap, group=None, client_id="test-reader")
    await consumer.start()
    try:
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        await consumer.seek_to_beginning(*partitions)
        found: list[ConsumerRecord] = []
        for partition in partitions:
            while await consumer.position(partition) < ends[partition]:
                batch = await consumer.getmany(partition, timeout_ms=200)
                found += [r for r in batch.get(partition, []) if r.offset < ends[partition]]
        return found
    finally:
        await consumer.stop()


async def end_offsets(bootstrap: str, topic: str) -> dict[int, int]:
    """The next offset of each partition of a topic."""
    partitions = await partitions_of(bootstrap, topic)
    consumer = build_consumer(bootstrap, group=None, client_id="test-reader")
    await consumer.start()
    try:
        ends = await consumer.end_offsets(partitions)
        return {partition.partition: ends[partition] for partition in partitions}
    finally:
        await consumer.stop()


async def partitions_of(bootstrap: str, topic: str) -> list[TopicPartition]:
    """The partitions of a topic in order. Raises LookupError when there is no such topic."""
    admin = build_admin(bootstrap, client_id="test-reader")
    try:
        await admin.start()
        (described,) = await admin.describe_topics([topic])
    finally:
        await admin.close()
    numbers = sorted(partition["partition"] for partition in described["partitions"])
    if not numbers:
        raise LookupError(f"there is no topic {topic}")
    return [TopicPartition(topic, number) for number in numbers]
