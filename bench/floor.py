"""The floor: the least any such service has to do to the same bytes, with no logic at all.

One process reads the events with aiokafka, COPYs them into a table, upserts the profile of each
record's key with a snapshot of 2 KB, in one transaction per batch of 1,000, and publishes with
`send_batch`. Everything else is measured against this.
"""

import hashlib
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg
from aiokafka import ConsumerRecord, TopicPartition

from shared.kafka.factory import build_consumer, build_producer

BATCH = 1_000
SNAPSHOT = b"s" * 2_048

_SCHEMA = """
DROP SCHEMA IF EXISTS floor CASCADE;
CREATE SCHEMA floor;
CREATE TABLE floor.event (id uuid PRIMARY KEY, body bytea NOT NULL);
CREATE TABLE floor.profile (id uuid PRIMARY KEY, n bigint NOT NULL, state bytea NOT NULL)
  WITH (fillfactor = 70);
ALTER TABLE floor.profile ALTER COLUMN state SET STORAGE EXTERNAL;
"""

_UPSERT = """
INSERT INTO floor.profile AS p (id, n, state)
SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::bytea[])
ON CONFLICT (id) DO UPDATE SET n = p.n + excluded.n, state = excluded.state
"""
PUBLISHED_TOGETHER = 200
"""Messages of one produce request; some are 5 KB, and a topic takes 3 MiB."""


@dataclass(frozen=True, slots=True)
class FloorRun:
    """One run of the floor: how many events in how many seconds of wall and own CPU time."""

    events: int
    seconds: float
    cpu_seconds: float

    @property
    def rate(self) -> float:
        """Events a second."""
        return self.events / self.seconds


async def run_floor(
    bootstrap: str,
    owner_url: str,
    *,
    source: str,
    target: str,
    partitions: int,
    events: int,
    snapshot: bytes = SNAPSHOT,
) -> FloorRun:
    """Carry `events` records of `source` to `target`; both topics have `partitions`."""
    database = await asyncpg.connect(owner_url)
    consumer = build_consumer(bootstrap, group=None, client_id="bench-floor")
    producer = build_producer(bootstrap, client_id="bench-floor")
    await database.execute(_SCHEMA)
    await consumer.start()
    await producer.start()
    try:
        assigned = [TopicPartition(source, number) for number in range(partitions)]
        consumer.assign(assigned)
        for partition in assigned:
            consumer.seek(partition, 0)
        begun, cpu = time.perf_counter(), time.process_time()
        done = 0
        while done < events:
            fetched = await consumer.getmany(*assigned, timeout_ms=500, max_records=BATCH)
            records = [record for some in fetched.values() for record in some]
            if records:
                await _store(database, records, snapshot)
                await _publish(producer, target, records, snapshot)
                done += len(records)
        return FloorRun(events, time.perf_counter() - begun, time.process_time() - cpu)
    finally:
        await producer.stop()
        await consumer.stop()
        await database.close()


async def _store(
    database: asyncpg.Connection, records: Sequence[ConsumerRecord], snapshot: bytes
) -> None:
    rows = [(_digest(b"%d/%d" % (r.partition, r.offset)), r.value) for r in records]
    touched: dict[UUID, int] = defaultdict(int)
    for record in records:
        touched[_digest(record.key)] += 1
    ordered = sorted(touched)
    async with database.transaction():
        await database.copy_records_to_table("event", schema_name="floor", records=rows)
        counts = [touched[one] for one in ordered]
        await database.execute(_UPSERT, ordered, counts, [snapshot] * len(ordered))


async def _publish(
    producer: Any, target: str, records: Sequence[ConsumerRecord], snapshot: bytes
) -> None:
    by_partition: dict[int, list[ConsumerRecord]] = defaultdict(list)
    for record in records:
        by_partition[record.partition].append(record)
    acks = []
    for partition, some in by_partition.items():
        for start in range(0, len(some), PUBLISHED_TOGETHER):
            batch = producer.create_batch()
            for record in some[start : start + PUBLISHED_TOGETHER]:
                batch.append(timestamp=None, key=record.key, value=record.value + snapshot)
            acks.append(await producer.send_batch(batch, target, partition=partition))
    for ack in acks:
        await ack


def _digest(data: bytes) -> UUID:
    return UUID(bytes=hashlib.md5(data, usedforsecurity=False).digest())
