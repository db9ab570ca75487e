"""Bare aiokafka clients for the negative controls, and records to read."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from aiokafka import (
    AIOKafkaConsumer,  # noqa: TID251 - the hazard has to be shown without our factory
    AIOKafkaProducer,  # noqa: TID251 - the same
    TopicPartition,
)

from shared.kafka.guard import GuardedConsumer


@asynccontextmanager
async def bare_consumer(bootstrap: str, **options: object) -> AsyncIterator[AIOKafkaConsumer]:
    """A started consumer with these options and no guard."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False, **options)
    await consumer.start()
    try:
        yield consumer
    finally:
        await consumer.stop()


@asynccontextmanager
async def bare_producer(bootstrap: str, **options: object) -> AsyncIterator[AIOKafkaProducer]:
    """A started producer with these options, not replaced after errors."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, **options)
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


@asynccontextmanager
async def guarded_consumer(bootstrap: str, group: str) -> AsyncIterator[GuardedConsumer]:
    """The guard around a consumer, to be stopped at the end."""
    guard = GuardedConsumer(bootstrap, group=group, client_id="hazard")
    try:
        yield guard
    finally:
        await guard.stop()


async def produce(bootstrap: str, topic: str, count: int, *, partition: int = 0) -> None:
    """Records b"0", b"1", … so that in a new partition each value is its offset."""
    async with bare_producer(bootstrap, acks="all") as producer:
        for number in range(count):
            await producer.send_and_wait(topic, b"%d" % number, partition=partition)


async def until_fetched(consumer: AIOKafkaConsumer, partitions: Sequence[TopicPartition]) -> None:
    """Wait until the client holds fetched records of all these partitions in memory."""
    async with asyncio.timeout(20):
        while not all(one in consumer._fetcher._records for one in partitions):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
