"""Puts the load on its topic: as fast as it goes beforehand, or paced like real traffic."""

import asyncio
import time
import zlib
from collections import defaultdict
from collections.abc import Callable, Sequence

from aiokafka import AIOKafkaProducer  # noqa: TID251 - built by the factory
from aiokafka.producer.message_accumulator import BatchBuilder

from bench.load import LoadEvent
from deploy.local.topics import create_topics, delete_topics
from shared.contracts.topics import DAY_MS, DEAD_LETTER_MAX_BYTES, TopicSpec
from shared.kafka.factory import build_producer

PARTITIONS = 8
BATCH = 400
TICK_SECONDS = 0.02


async def new_topics(bootstrap: str, prefix: str, names: Sequence[str]) -> None:
    """Make topics of 8 partitions under a prefix, which must not exist."""
    specs = [TopicSpec(name, DEAD_LETTER_MAX_BYTES, DAY_MS) for name in names]
    await create_topics(bootstrap, prefix=prefix, partitions=PARTITIONS, specs=specs)


async def drop_topics(bootstrap: str, prefix: str) -> None:
    """Delete all topics under a prefix, so that what comes next has the disk for itself."""
    await delete_topics(bootstrap, prefix=prefix)


async def preload(bootstrap: str, topic: str, events: Sequence[LoadEvent]) -> None:
    """Publish everything now, in order within each person's partition."""
    producer = build_producer(bootstrap, client_id="bench-load")
    await producer.start()
    try:
        for partition, lane in _lanes(events).items():
            for start in range(0, len(lane), BATCH):
                batch = _packed(producer, lane[start : start + BATCH])
                await producer.send_batch(batch, topic, partition=partition)
        await producer.flush()
    finally:
        await producer.stop()


async def pace(
    bootstrap: str,
    topic: str,
    events: Sequence[LoadEvent],
    rate: float,
    sent: Callable[[LoadEvent, float], None],
) -> None:
    """Publish `rate` events a second; `sent` is told each event with the moment it was handed over.

    A generator that falls behind catches up, and the events' waiting counts as latency: the moment
    is when the event was due.
    """
    producer = build_producer(bootstrap, client_id="bench-load")
    await producer.start()
    try:
        begun, done = time.time(), 0
        while done < len(events):
            due = min(len(events), done + BATCH, int((time.time() - begun) * rate))
            now_due = events[done:due]
            for event in now_due:
                sent(event, begun + done / rate)
                done += 1
            for partition, lane in _lanes(now_due).items():
                await producer.send_batch(_packed(producer, lane), topic, partition=partition)
            await asyncio.sleep(TICK_SECONDS)
        await producer.flush()
    finally:
        await producer.stop()


def _lanes(events: Sequence[LoadEvent]) -> dict[int, list[LoadEvent]]:
    """The events of each partition, in order."""
    lanes: dict[int, list[LoadEvent]] = defaultdict(list)
    for event in events:
        lanes[zlib.crc32(event.key) % PARTITIONS].append(event)
    return lanes


def _packed(producer: AIOKafkaProducer, events: Sequence[LoadEvent]) -> BatchBuilder:
    """One batch for one partition."""
    batch = producer.create_batch()
    for event in events:
        batch.append(timestamp=None, key=event.key, value=event.value)
    return batch
