"""Wires the roles of ingest; the only place that knows all parts."""

import asyncio

from services.ingest.api.app import create_app
from services.ingest.domain.discovery import Discovery
from services.ingest.settings import IngestSettings
from services.ingest.storage.registry import Registry
from services.ingest.storage.tables import MIGRATIONS, SCHEMA
from services.ingest.use_cases.accept_records import AcceptRecords
from services.ingest.use_cases.load_tracking_plan import LiveTrackingPlan
from services.ingest.use_cases.open_channel import OpenChannel
from services.ingest.use_cases.publish_together import GroupPublisher
from services.ingest.use_cases.write_discoveries import WriteDiscoveries
from shared.kafka.records import Place
from shared.observability.health import Health
from shared.runtime.assembly import Parts, api_role, migrate_service, parts, stateless_worker
from shared.runtime.cli import Command
from shared.runtime.service import Role, run_role
from shared.settings import load


async def build_collector(settings: IngestSettings) -> Role:
    """HTTP: events from channel systems, and the administration of sources."""
    built = parts(settings, service=SCHEMA, role="collector")
    health = Health(built.name, built.checks())
    publisher = GroupPublisher(built.publisher, built.counts)
    app = create_app(
        built.engine,
        health=health,
        registry=Registry(built.engine),
        publisher=publisher,
        open_channel=OpenChannel(built.catalogue, built.topics),
        topics=built.topics,
    )
    return api_role(built, health=health, app=app, also={"publisher": publisher.run})


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
    )


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


def run_migrate() -> int:
    """Bring the schema up to date, then exit."""
    asyncio.run(migrate_service(load(IngestSettings), service=SCHEMA, folder=MIGRATIONS))
    return 0


COMMANDS = {
    "collector": Command("take events over HTTP and administer sources", run_collector),
    "worker": Command("turn raw records into touchpoints", run_worker),
    "migrate": Command("bring the database schema up to date", run_migrate),
}
