"""A stream worker around a handler that notes what it was given; real Kafka and PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from sqlalchemy import MetaData, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from shared.contracts.dead_letter import Failure
from shared.kafka.messages import OutboxBuffer
from shared.kafka.records import Record
from shared.observability.health import Health
from shared.postgres.engine import create_engine
from shared.postgres.tables import stream_tables
from shared.runtime.assembly import Parts, partitions_of, parts, stateful_worker
from shared.runtime.records import Handled
from shared.runtime.service import Role
from shared.settings import Settings

SCHEMA = "profile"
Spy = Callable[[Sequence[Record]], None]


@dataclass(slots=True)
class Toy:
    """A running worker."""

    built: Parts
    health: Health
    role: Role
    stop: asyncio.Event


async def prepare(url: str) -> AsyncEngine:
    """The core's tables and one more, in the service's schema."""
    engine = create_engine(url, schema=SCHEMA, application="toy")
    async with engine.begin() as connection:
        for table in stream_tables(MetaData()):
            await connection.run_sync(table.create)
        await connection.execute(text("CREATE TABLE seen (value text, worker text)"))
    return engine


@asynccontextmanager
async def running(
    kafka: str,
    url: str,
    prefix: str,
    *,
    member: str,
    batch_records: int = 100,
    spy: Spy = lambda records: None,
) -> AsyncIterator[Toy]:
    """The worker reads `touchpoints`, notes each value, and sends it on to `profile.updates`.

    `bad…` is dead-lettered, `old…` is deduped, and whatever `spy` raises is raised.
    """
    settings = Settings(
        kafka=kafka,
        database_url=url,
        topic_prefix=prefix,
        member=member,
        batch_records=batch_records,
    )
    built = parts(settings, service=SCHEMA, role="worker")
    health = Health("toy", built.checks())

    async def handle(records: Sequence[Record], tx: AsyncConnection) -> Handled:
        handled = Handled(OutboxBuffer(built.counts))
        values = []
        for record in records:
            value = (record.value or b"").decode()
            if value.startswith("bad"):
                handled.reject(record, Failure("malformed_payload", "it says so"))
            elif value.startswith("old"):
                handled.dedup(record)
            else:
                values.append(value)
                handled.messages.add(built.topics.profile_updates, value.encode(), value.encode())
        statement = "INSERT INTO seen SELECT unnest(CAST(:values AS text[])), :worker"
        await tx.execute(text(statement), {"values": values, "worker": member})
        spy(records)
        return handled

    role = stateful_worker(
        built,
        health=health,
        handler=handle,
        discover=partitions_of(built, built.topics.touchpoints),
        also={},
    )
    stop = asyncio.Event()
    tasks = [[asyncio.create_task(task(stop)) for task in stage.values()] for stage in role.stages]
    try:
        yield Toy(built, health, role, stop)
    finally:
        stop.set()
        for stage in tasks:
            await asyncio.gather(*stage)
        for close in reversed(role.closing):
            await close()
