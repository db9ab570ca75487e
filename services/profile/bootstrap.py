"""Wires the roles of the profile service: the only place where its parts meet."""

import asyncio
from functools import partial

from services.profile.api.app import create_app
from services.profile.domain.absorb import Rules
from services.profile.settings import ProfileSettings
from services.profile.storage.link_engine import require_engine
from services.profile.storage.tables import MIGRATIONS, SCHEMA
from services.profile.use_cases.absorb_touchpoints import AbsorbTouchpoints
from services.profile.use_cases.find_links import Linker
from shared.observability.health import Health
from shared.runtime.assembly import (
    api_role,
    member_name,
    migrate_service,
    partitions_of,
    parts,
    stateful_worker,
)
from shared.runtime.cli import Command
from shared.runtime.service import Role, run_role
from shared.settings import load

RULES = Rules()
"""Who is who and which source is believed; worker and API must go by the same."""


async def _worker(settings: ProfileSettings) -> Role:
    built = parts(settings, service=SCHEMA, role="worker")
    return stateful_worker(
        built,
        health=Health(built.name, built.checks()),
        handler=AbsorbTouchpoints(topics=built.topics, counts=built.counts, rules=RULES),
        discover=partitions_of(built, built.topics.touchpoints),
        also={},
    )


async def _api(settings: ProfileSettings) -> Role:
    built = parts(settings, service=SCHEMA, role="api")
    health = Health(built.name, built.checks())
    app = create_app(
        built.engine, health=health, topics=built.topics, counts=built.counts, rules=RULES
    )
    return api_role(built, health=health, app=app, also={})


async def _linker(settings: ProfileSettings) -> Role:
    require_engine()
    built = parts(settings, service=SCHEMA, role="linker")
    linker = Linker(
        built.engine,
        member=member_name(settings, built.name),
        rules=RULES,
        folder=settings.home / "linker",
        memory_mb=settings.link_memory_mb,
        threads=settings.link_threads,
        max_pairs=settings.link_max_pairs,
    )
    return Role(
        health=Health(built.name, {"postgres": built.database_check}),
        stages=[{"links": linker.run}],
        closing=[built.engine.dispose],
    )


def _run(role: str) -> int:
    settings = load(ProfileSettings)
    build = {"worker": _worker, "api": _api, "linker": _linker}[role]
    return run_role(settings, service=SCHEMA, role=role, build=partial(build, settings))


def _migrate() -> int:
    settings = load(ProfileSettings)
    asyncio.run(migrate_service(settings, service=SCHEMA, folder=MIGRATIONS))
    return 0


COMMANDS = {
    "worker": Command("merge touchpoints into profiles, publish updates", partial(_run, "worker")),
    "api": Command("serve profiles and take consents over HTTP", partial(_run, "api")),
    "linker": Command("look for profiles that may be one person", partial(_run, "linker")),
    "migrate": Command("bring the schema to its newest revision, then exit", _migrate),
}
