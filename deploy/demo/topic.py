"""Reads a topic from its beginning to its present end, as a channel system would.

`python -m deploy.demo.topic actions.email [profile id]` prints the records as JSON lines; when
there is none yet, it waits for the first a while.
"""

import asyncio
import sys
from typing import Any

import msgspec
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord

from deploy.demo.concert import Access
from deploy.demo.errors import DemoError
from shared import clock
from shared.kafka.factory import build_admin, build_consumer

Json = dict[str, Any]
PATIENCE_SECONDS = 30.0
POLL_SECONDS = 0.5
USAGE = "usage: python -m deploy.demo.topic TOPIC [PROFILE_ID]"


async def read_topic(access: Access, topic: str) -> list[Json]:
    """The decoded values of all records, oldest first. Raises DemoError.

    `topic` is the name without the deployment's prefix.
    """
    name = access.topic_prefix + topic
    try:
        records = await _read(access.kafka, name)
    except KafkaError as error:
        raise DemoError(f"Kafka at {access.kafka} does not answer ({error!r})") from error
    records.sort(key=lambda record: (record.timestamp, record.partition, record.offset))
    return [msgspec.json.decode(record.value) for record in records]


async def _read(bootstrap: str, topic: str) -> list[ConsumerRecord]:
    partitions = await _partitions(bootstrap, topic)
    consumer = build_consumer(bootstrap, group=None, client_id="concert-demo")
    try:
        await consumer.start()
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        await consumer.seek_to_beginning(*partitions)
        found: list[ConsumerRecord] = []
        for partition in partitions:
            while await consumer.position(partition) < ends[partition]:
                batch = await consumer.getmany(partition, timeout_ms=200)
                found += batch.get(partition, [])
        return found
    finally:
        await consumer.stop()


async def _partitions(bootstrap: str, topic: str) -> list[TopicPartition]:
    admin = build_admin(bootstrap, client_id="concert-demo")
    try:
        await admin.start()
        (described,) = await admin.describe_topics([topic])
    finally:
        await admin.close()
    if not described["partitions"]:
        raise DemoError(f"there is no topic {topic}")
    return [TopicPartition(topic, part["partition"]) for part in described["partitions"]]


async def wait_for_records(access: Access, topic: str, profile_id: str | None) -> list[Json]:
    """The records of a topic (about a profile), as soon as there are any; else none."""
    deadline = clock.monotonic_seconds() + PATIENCE_SECONDS
    while True:
        values = await read_topic(access, topic)
        fitting = [v for v in values if profile_id is None or v.get("profile_id") == profile_id]
        if fitting or clock.monotonic_seconds() > deadline:
            return fitting
        await asyncio.sleep(POLL_SECONDS)


def main() -> int:
    """Print the topic named on the command line; the exit code, 1 when there was nothing."""
    if len(sys.argv) not in (2, 3):
        print(USAGE, file=sys.stderr)
        return 2
    profile_id = sys.argv[2] if len(sys.argv) == 3 else None
    try:
        values = asyncio.run(wait_for_records(Access(), sys.argv[1], profile_id))
    except DemoError as error:
        print(f"concert: {error}", file=sys.stderr)
        return 1
    for value in values:
        print(msgspec.json.encode(value).decode())
    return 0 if values else 1


if __name__ == "__main__":
    sys.exit(main())
