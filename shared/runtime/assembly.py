"""Puts the parts of a stream worker together: one way with state, one without.

A service's bootstrap calls one of the two functions with its handler; nothing else wires the core.
"""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncEngine

from shared import ids
from shared.contracts.topics import Topics
from shared.kafka.catalogue import Catalogue
from shared.kafka.guard import GuardedConsumer
from shared.kafka.messages import PartitionCounts
from shared.kafka.publisher import Publisher
from shared.kafka.records import Place
from shared.observability.health import Check, Health
from shared.observability.listener import App, listening
from shared.postgres.engine import create_engine, ping
from shared.postgres.tokens import ensure_admin_token, ensure_service_token
from shared.postgres.transaction import transaction
from shared.runtime.commit import (
    Advance,
    DeadLetters,
    ProduceThenCommit,
    StatefulHandler,
    StatelessHandler,
    TransactionalCommit,
)
from shared.runtime.leases import LeaseKeeper
from shared.runtime.relay import RELAY_GROUP, Relay
from shared.runtime.service import Role, Task
from shared.runtime.stream_worker import Commit, StreamWorker
from shared.runtime.watchdog import Watchdog
from shared.settings import Settings

POOL_SIZE = 8
"""More than the tasks of a worker that use the database at the same time."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What a role of one service shares among its tasks."""

    settings: Settings
    service: str
    role: str
    engine: AsyncEngine
    topics: Topics
    catalogue: Catalogue
    publisher: Publisher

    @property
    def counts(self) -> PartitionCounts:
        return self.catalogue.counts

    @property
    def name(self) -> str:
        return f"{self.service}-{self.role}"

    @property
    def group(self) -> str:
        """The consumer group: one for each role of a deployment."""
        return f"{self.settings.topic_prefix}concert-{self.name}"

    async def database_check(self) -> None:
        """Raises when PostgreSQL does not answer."""
        await ping(self.engine)

    def checks(self) -> dict[str, Check]:
        return {"postgres": self.database_check, "kafka": self.catalogue.check}


def parts(settings: Settings, *, service: str, role: str, pool_size: int = POOL_SIZE) -> Parts:
    """Build what every role needs; nothing connects yet."""
    name = f"concert-{service}-{role}"
    topics = Topics(settings.topic_prefix)
    return Parts(
        settings=settings,
        service=service,
        role=role,
        engine=create_engine(
            settings.database_url, schema=service, application=name, pool_size=pool_size
        ),
        topics=topics,
        catalogue=Catalogue(
            settings.kafka,
            client_id=name,
            topics=topics,
            replication=settings.topic_replication,
        ),
        publisher=Publisher(settings.kafka, client_id=name),
    )


def member_name(settings: Settings, name: str) -> str:
    """Who this process is among its group: the name a supervisor gave it, else a new one.

    A process that is started again under its old name takes its partitions back at once, instead
    of waiting for its former self to run out.
    """
    if settings.member:
        return settings.member
    return f"{name}@{socket.gethostname()}:{os.getpid()}:{ids.random_id()}"


def stateful_worker(
    built: Parts,
    *,
    health: Health,
    handler: StatefulHandler,
    discover: Callable[[], Awaitable[set[Place]]],
    also: dict[str, Task],
) -> Role:
    """A role whose batches are one transaction each, with the relay of its service beside it."""
    settings = built.settings
    member = member_name(settings, built.name)
    relay_keeper = LeaseKeeper(built.engine, group=RELAY_GROUP, member=member)
    relay = Relay(built.engine, keeper=relay_keeper, publisher=built.publisher)
    commit = TransactionalCommit(
        built.engine,
        group=built.group,
        handler=handler,
        dead_letters=DeadLetters(group=built.group, topics=built.topics, counts=built.counts),
        committed=relay.wake.set,
    )
    return _role(
        built,
        health=health,
        member=member,
        commit=commit,
        slices_beside=True,
        discover=discover,
        then={"relay": relay.run},
        last={
            "relay-heartbeat": relay_keeper.heartbeat,
            "outbox-backlog": relay.measure,
            **also,
        },
    )


def stateless_worker(
    built: Parts,
    *,
    health: Health,
    handler: StatelessHandler,
    discover: Callable[[], Awaitable[set[Place]]],
    also: dict[str, Task],
    advance: Advance | None = None,
) -> Role:
    """A role that only turns messages into messages; `advance` may count what it passes."""
    commit = ProduceThenCommit(
        built.engine,
        group=built.group,
        handler=handler,
        dead_letters=DeadLetters(group=built.group, topics=built.topics, counts=built.counts),
        publisher=built.publisher,
        advance=advance,
    )
    return _role(
        built,
        health=health,
        member=member_name(built.settings, built.name),
        commit=commit,
        discover=discover,
        then={},
        last=also,
    )


def _role(
    built: Parts,
    *,
    health: Health,
    member: str,
    commit: Commit,
    slices_beside: bool = False,
    discover: Callable[[], Awaitable[set[Place]]],
    then: dict[str, Task],
    last: dict[str, Task],
) -> Role:
    settings = built.settings
    keeper = LeaseKeeper(built.engine, group=built.group, member=member)
    consumer = GuardedConsumer(settings.kafka, group=built.group, client_id=built.name)
    worker = StreamWorker(
        consumer=consumer,
        keeper=keeper,
        discover=discover,
        commit=commit,
        health=health,
        max_records=settings.batch_records,
        slices_beside=slices_beside,
    )
    watchdog = Watchdog(settings.kafka, worker, health, client_id=built.name)
    return Role(
        health=health,
        stages=[
            {"stream": worker.run},
            *([then] if then else []),
            {
                "heartbeat": keeper.heartbeat,
                "catalogue": built.catalogue.run,
                "watchdog": watchdog.run,
                **last,
            },
        ],
        closing=[built.engine.dispose, built.publisher.close],
    )


def partitions_of(built: Parts, topic: str) -> Callable[[], Awaitable[set[Place]]]:
    """Discovers the partitions of one topic of our own."""

    async def discover() -> set[Place]:
        count = built.catalogue.known.get(topic, 0)
        return {Place(topic, partition) for partition in range(count)}

    return discover


def api_role(built: Parts, *, health: Health, app: App, also: dict[str, Task]) -> Role:
    """A role that serves HTTP on its API port."""
    settings = built.settings

    async def serve(stopping: asyncio.Event) -> None:
        async with listening(app, settings.host, settings.http_port):
            await stopping.wait()

    return Role(
        health=health,
        stages=[{"http": serve}, {"catalogue": built.catalogue.run, **also}],
        closing=[built.engine.dispose, built.publisher.close],
    )


async def migrate_service(settings: Settings, *, service: str, folder: Path) -> None:
    """Bring the service's schema up to date and store the hashes of the first tokens."""
    from shared.postgres.migrate import migrate  # no role needs what it imports

    engine = create_engine(
        settings.database_url, schema=service, application=f"concert-{service}-migrate"
    )
    try:
        await migrate(engine, folder=folder, schema=service)
        async with transaction(engine) as tx:
            if settings.admin_token_file is not None:
                await ensure_admin_token(tx, settings.admin_token_file)
            if settings.service_token_file is not None:
                await ensure_service_token(tx, settings.service_token_file)
    finally:
        await engine.dispose()
