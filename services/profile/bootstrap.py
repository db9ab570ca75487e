"""Wires the roles of the profile service: the only place where its parts meet."""

import asyncio
import sys
from collections.abc import Callable
from datetime import timedelta
from functools import partial

from services.profile.api.peers import peers_at
from services.profile.domain.absorb import Rules
from services.profile.domain.consent_links import MIN_KEY
from services.profile.domain.retention import touchpoint_retention
from services.profile.settings import ProfileSettings
from services.profile.storage.link_engine import require_engine
from services.profile.storage.tables import MIGRATIONS, SCHEMA
from services.profile.use_cases.absorb_touchpoints import AbsorbTouchpoints
from services.profile.use_cases.backfill_definitions import BackfillDefinitions
from services.profile.use_cases.consent_links import LinkKeys
from services.profile.use_cases.export_profiles import ExportProfiles
from services.profile.use_cases.fan_out import FanOut, measure
from services.profile.use_cases.fill_lists import FillLists
from services.profile.use_cases.find_links import Linker
from services.profile.use_cases.load_rules import live_rules
from services.profile.use_cases.peers import Peers
from services.profile.use_cases.retain import Kept, Retain
from services.profile.use_cases.sweep_deadlines import SweepDeadlines
from services.profile.use_cases.sweep_deadlines import measure as measure_deadlines
from services.profile.use_cases.take_to_members import TakeToMembers
from services.profile.use_cases.verify_identity import Verified, verify_identity
from services.profile.use_cases.work_privacy import Means, WorkPrivacy
from services.profile.use_cases.work_privacy import measure as measure_privacy
from shared.errors import Misconfigured
from shared.observability.health import Health
from shared.postgres.engine import create_engine
from shared.runtime.assembly import (
    Parts,
    api_role,
    member_name,
    migrate_service,
    partitions_of,
    parts,
    stateful_worker,
)
from shared.runtime.cli import Command
from shared.runtime.poller import poll
from shared.runtime.service import Role, run_role
from shared.settings import load, read_secret_file


async def _worker(settings: ProfileSettings) -> Role:
    built = parts(settings, service=SCHEMA, role="worker")
    rules = live_rules(built.engine)
    return stateful_worker(
        built,
        health=Health(built.name, built.checks()),
        handler=AbsorbTouchpoints(
            topics=built.topics, counts=built.counts, rules=rules, secret=_secret(settings)
        ),
        discover=partitions_of(built, built.topics.touchpoints),
        also={"rules": rules.run},
    )


def _secret(settings: ProfileSettings) -> bytes | None:
    """The key of suppressed identifiers; None where nobody can be erased."""
    path = settings.suppression_key_file
    return None if path is None else read_secret_file(path).encode()


def _days(days: int) -> timedelta | None:
    return timedelta(days=days) if days else None


def _means(
    settings: ProfileSettings, built: Parts, rules: Callable[[], Rules], peers: Peers
) -> Means:
    return Means(
        rules=rules,
        topics=built.topics,
        counts=built.counts,
        peers=peers,
        secret=_secret(settings),
        known=lambda: built.catalogue.known,
        export_seconds=settings.export_hours * 3600,
    )


def _kept(settings: ProfileSettings) -> Kept:
    """Raises Misconfigured when something is to be erased and nothing can be."""
    if settings.retain_anonymous_days and settings.suppression_key_file is None:
        raise Misconfigured(
            ["CONCERT_SUPPRESSION_KEY_FILE: CONCERT_RETAIN_ANONYMOUS_DAYS erases, which needs it"]
        )
    return Kept(
        touchpoints=touchpoint_retention(settings.retain_touchpoints),
        anonymous=_days(settings.retain_anonymous_days),
        receipts_days=settings.retain_receipts_days,
    )


async def _sweeper(settings: ProfileSettings) -> Role:
    """Each kind of work that waits in the database is a task of its own."""
    if settings.service_token_file is None:
        raise Misconfigured(["CONCERT_SERVICE_TOKEN_FILE: privacy asks the other services"])
    built = parts(settings, service=SCHEMA, role="sweeper")
    peers = peers_at(
        ingest_url=settings.ingest_url,
        orchestrator_url=settings.orchestrator_url,
        service_token=read_secret_file(settings.service_token_file),
    )
    rules = live_rules(built.engine)
    fan_out = FanOut(built.engine, counts=built.counts, rules=rules)
    deadlines = SweepDeadlines(built.engine, topics=built.topics, counts=built.counts, rules=rules)
    backfill = BackfillDefinitions(
        built.engine, topics=built.topics, counts=built.counts, rules=rules
    )
    exports = ExportProfiles(built.engine)
    lists = FillLists(built.engine, topics=built.topics, counts=built.counts, rules=rules)
    members = TakeToMembers(built.engine, topics=built.topics, counts=built.counts, rules=rules)
    privacy = WorkPrivacy(built.engine, _means(settings, built, rules, peers))
    retain = Retain(built.engine, _kept(settings), rules)
    return Role(
        health=Health(built.name, built.checks()),
        stages=[
            {
                "audiences": partial(poll, fan_out.advance, fan_out.give_up, what="audiences"),
                "deadlines": partial(poll, deadlines.advance, deadlines.give_up, what="deadlines"),
                "definitions": partial(
                    poll, backfill.advance, backfill.give_up, what="definitions"
                ),
                "exports": partial(poll, exports.advance, exports.give_up, what="exports"),
                "groups": partial(poll, members.advance, members.give_up, what="groups"),
                "lists": partial(poll, lists.advance, lists.give_up, what="lists"),
                "privacy": partial(poll, privacy.advance, privacy.give_up, what="privacy"),
            },
            {
                "catalogue": built.catalogue.run,
                "rules": rules.run,
                "measure": partial(measure, built.engine),
                "measure_deadlines": partial(measure_deadlines, built.engine),
                "retention": retain.run,
                "measure_privacy": partial(measure_privacy, built.engine),
            },
        ],
        closing=[built.engine.dispose, peers.close],
    )


async def _api(settings: ProfileSettings) -> Role:
    # Half of the start of a process that serves no HTTP, if it were imported above.
    from services.profile.api.app import create_app

    built = parts(settings, service=SCHEMA, role="api")
    rules = live_rules(built.engine)
    health = Health(built.name, built.checks())
    app = create_app(
        built.engine,
        health=health,
        topics=built.topics,
        counts=built.counts,
        rules=rules,
        keys=_link_keys(settings),
        can_erase=settings.suppression_key_file is not None,
    )
    return api_role(built, health=health, app=app, also={"rules": rules.run})


def _link_keys(settings: ProfileSettings) -> LinkKeys | None:
    if settings.consent_key_file is None:
        return None
    keys = read_secret_file(settings.consent_key_file).split()
    if any(len(key) < MIN_KEY for key in keys):
        raise Misconfigured([f"{settings.consent_key_file}: a key needs {MIN_KEY} characters"])
    url = settings.public_url or settings.profile_url
    return LinkKeys(tuple(key.encode() for key in keys), url)


async def _linker(settings: ProfileSettings) -> Role:
    require_engine()
    built = parts(settings, service=SCHEMA, role="linker")
    rules = live_rules(built.engine)
    linker = Linker(
        built.engine,
        member=member_name(settings, built.name),
        rules=rules,
        folder=settings.home / "linker",
        memory_mb=settings.link_memory_mb,
        threads=settings.link_threads,
        max_pairs=settings.link_max_pairs,
    )
    return Role(
        health=Health(built.name, {"postgres": built.database_check}),
        stages=[{"links": linker.run}, {"rules": rules.run}],
        closing=[built.engine.dispose],
    )


def _run(role: str) -> int:
    settings = load(ProfileSettings)
    build = {"worker": _worker, "sweeper": _sweeper, "api": _api, "linker": _linker}[role]
    return run_role(settings, service=SCHEMA, role=role, build=partial(build, settings))


def _migrate() -> int:
    settings = load(ProfileSettings)
    asyncio.run(migrate_service(settings, service=SCHEMA, folder=MIGRATIONS))
    return 0


def _verify() -> int:
    """Exit status 1 when a profile is not what the evidence makes of it."""
    settings = load(ProfileSettings)
    verified = asyncio.run(_verified(settings))
    lines = [*verified.differences, f"{verified.steps} steps, {verified.profiles} profiles"]
    sys.stdout.write("\n".join(lines) + "\n")
    return 1 if verified.differences else 0


async def _verified(settings: ProfileSettings) -> Verified:
    engine = create_engine(
        settings.database_url, schema=SCHEMA, application=f"concert-{SCHEMA}-verify"
    )
    try:
        return await verify_identity(engine, Rules())
    finally:
        await engine.dispose()


COMMANDS = {
    "worker": Command("merge touchpoints into profiles, publish updates", partial(_run, "worker")),
    "sweeper": Command(
        "take events, new definitions and the passing of time to profiles", partial(_run, "sweeper")
    ),
    "api": Command("serve profiles and take consents over HTTP", partial(_run, "api")),
    "linker": Command("look for profiles that may be one person", partial(_run, "linker")),
    "verify": Command("make every profile again from the evidence and compare", _verify),
    "migrate": Command("bring the schema to its newest revision, then exit", _migrate),
}
