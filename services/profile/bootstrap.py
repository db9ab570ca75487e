"""Wires the roles of the profile service: the only place where its parts meet."""

import asyncio
from functools import partial

from services.profile.domain.absorb import Rules
from services.profile.storage.tables import MIGRATIONS, SCHEMA
from services.profile.use_cases.absorb_touchpoints import AbsorbTouchpoints
from shared.observability.health import Health
from shared.runtime.assembly import migrate_service, partitions_of, parts, stateful_worker
from shared.runtime.cli import Command
from shared.runtime.service import Role, run_role
from shared.settings import Settings, load


async def _worker(settings: Settings) -> Role:
    built = parts(settings, service=SCHEMA, role="worker")
    handler = AbsorbTouchpoints(topics=built.topics, counts=built.counts, rules=Rules())
    return stateful_worker(
        built,
        health=Health(built.name, built.checks()),
        handler=handler,
        discover=partitions_of(built, built.topics.touchpoints),
        also={},
    )


def run_worker() -> int:
    settings = load(Settings)
    return run_role(settings, service=SCHEMA, role="worker", build=partial(_worker, settings))


def run_migrate() -> int:
    settings = load(Settings)
    asyncio.run(migrate_service(settings, service=SCHEMA, folder=MIGRATIONS))
    return 0


COMMANDS = {
    "worker": Command("merge touchpoints into profiles and publish their updates", run_worker),
    "migrate": Command("bring the schema to its newest revision, then exit", run_migrate),
}
