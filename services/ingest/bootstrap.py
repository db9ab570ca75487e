"""Wires the roles of ingest; the only place that knows all parts."""

import asyncio
from datetime import timedelta
from functools import partial

from services.ingest.api.peers import peers_at
from services.ingest.domain.discovery import Discovery
from services.ingest.load.command import HELP, add_arguments, run_load
from services.ingest.settings import IngestSettings
from services.ingest.storage.registry import Registry
from services.ingest.storage.tables import MIGRATIONS, SCHEMA
from services.ingest.use_cases.accept_records import AcceptRecords
from services.ingest.use_cases.count_published import advance_and_count
from services.ingest.use_cases.forget_failed_events import Retention
from services.ingest.use_cases.keep_failed_events import KeepFailedEvents
from services.ingest.use_cases.load_tracking_plan import LiveTrackingPlan
from services.ingest.use_cases.open_channel import OpenChannel
from services.ingest.use_cases.publish_together import GroupPublisher
from services.ingest.use_cases.replay_failed_events import Replayer
from services.ingest.use_cases.watch_events import LiveEvents
from services.ingest.use_cases.write_discoveries import WriteDiscoveries
from shared.errors import Misconfigured
from shared.kafka.records import Place
from shared.observability.health import Health
from shared.runtime.assembly import (
    Parts,
    api_role,
    migrate_service,
    parts,
    stateful_worker,
    stateless_worker,
)
from shared.runtime.cli import Command, Tool
from shared.runtime.service import Role, run_role
from shared.settings import load, read_secret_file


async def build_collector(settings: IngestSettings) -> Role:
    """HTTP: events from channel systems, and the administration of sources."""
    # Half of the start of a process that serves no HTTP, if it were imported above.
    from services.ingest.api.app import create_app

    built = parts(settings, service=SCHEMA, role="collector")
    health = Health(built.name, built.checks())
    if settings.service_token_file is None:
        raise Misconfigured(["CONCERT_SERVICE_TOKEN_FILE: receipts ask the other services"])
    peers = peers_at(
        profile_url=settings.profile_url,
        orchestrator_url=settings.orchestrator_url,
        service_token=read_secret_file(settings.service_token_file),
    )
    publisher = GroupPublisher(built.publisher, built.counts)
    live = LiveEvents(settings.kafka, catalogue=built.catalogue, topics=built.topics)
    registry = Registry(built.engine)
    app = create_app(
        built.engine,
        health=health,
        registry=registry,
        publisher=publisher,
        open_channel=OpenChannel(built.catalogue, built.topics),
        topics=built.topics,
        peers=peers,
        live=live,
        replayer=Replayer(
            built.engine,
            registry=registry,
            publisher=publisher,
            topics=built.topics,
            allow_unregistered=settings.allow_unregistered_sources,
            live=timedelta(hours=settings.replay_trigger_hours),
        ),
        origins=settings.origins,
    )
    role = api_role(built, health=health, app=app, also={"publisher": publisher.run})
    # Beside the server, not behind it: what is watched has to end for the server to end.
    role.stages[0] = {**role.stages[0], "live": live.run}
    role.closing.append(peers.close)
    return role


async def build_worker(settings: IngestSettings) -> Role:
    """Kafka: `channel.*` to `touchpoints`."""
    built = parts(settings, service=SCHEMA, role="worker")
    health = Health(built.name, built.checks())
    plan, discovery = LiveTrackingPlan(built.engine), Discovery()
    handler = AcceptRecords(
        topics=built.topics,
        counts=built.counts,
        registry=Registry(built.engine),
        allow_unregistered=settings.allow_unregistered_sources,
        plan=plan,
        discovery=discovery,
    )

    async def discover() -> set[Place]:
        return channel_partitions(built)

    return stateless_worker(
        built,
        health=health,
        handler=handler,
        discover=discover,
        also={
            "tracking-plan": plan.run,
            "discoveries": WriteDiscoveries(built.engine, discovery).run,
        },
        advance=partial(advance_and_count, built.topics),
    )


async def build_failures(settings: IngestSettings) -> Role:
    """Kafka: `channel.*.dlq` to the table of failed events."""
    built = parts(settings, service=SCHEMA, role="failures")
    health = Health(built.name, built.checks())
    handler = KeepFailedEvents(topics=built.topics, counts=built.counts)
    retention = Retention(built.engine, timedelta(days=settings.failed_event_days))

    async def discover() -> set[Place]:
        return dead_letter_partitions(built)

    return stateful_worker(
        built, health=health, handler=handler, discover=discover, also={"retention": retention.run}
    )


def dead_letter_partitions(built: Parts) -> set[Place]:
    """All partitions of the dead letters of all raw topics there are now."""
    return {
        Place(topic, partition)
        for topic, count in built.catalogue.known.items()
        if built.topics.failing_channel_of(topic) is not None
        for partition in range(count)
    }


def channel_partitions(built: Parts) -> set[Place]:
    """All partitions of all raw topics there are now; new channels show up by themselves."""
    return {
        Place(topic, partition)
        for topic, count in built.catalogue.known.items()
        if built.topics.channel_of(topic) is not None
        for partition in range(count)
    }


def run_collector() -> int:
    """The process of the collector."""
    settings = load(IngestSettings)
    return run_role(
        settings, service=SCHEMA, role="collector", build=lambda: build_collector(settings)
    )


def run_worker() -> int:
    """The process of the worker."""
    settings = load(IngestSettings)
    return run_role(settings, service=SCHEMA, role="worker", build=lambda: build_worker(settings))


def run_failures() -> int:
    """The process of the failed events."""
    settings = load(IngestSettings)
    return run_role(
        settings, service=SCHEMA, role="failures", build=lambda: build_failures(settings)
    )


def run_migrate() -> int:
    """Bring the schema up to date, then exit."""
    asyncio.run(migrate_service(load(IngestSettings), service=SCHEMA, folder=MIGRATIONS))
    return 0


COMMANDS: dict[str, Command | Tool] = {
    "collector": Command("take events over HTTP and administer sources", run_collector),
    "worker": Command("turn raw records into touchpoints", run_worker),
    "failures": Command("keep what could not be read, to be browsed and replayed", run_failures),
    "migrate": Command("bring the database schema up to date", run_migrate),
    "load": Tool(HELP, add_arguments, run_load),
}
