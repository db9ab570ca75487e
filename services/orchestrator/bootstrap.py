"""Wires the roles of the orchestrator: the only place where its parts meet."""

import asyncio
import hashlib
import os
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncConnection

from services.orchestrator.connectors.outgoing import Outgoing
from services.orchestrator.connectors.preference_links import preference_links
from services.orchestrator.connectors.profile_definitions import profile_definitions
from services.orchestrator.connectors.secret_files import SecretFolder
from services.orchestrator.connectors.snapshots import Snapshots
from services.orchestrator.domain.address_guard import AddressPolicy, read_policy
from services.orchestrator.files import command as files
from services.orchestrator.settings import OrchestratorSettings
from services.orchestrator.storage import run_sweeps, schedules, timers
from services.orchestrator.use_cases.deliver import Deliver, forget_old, live_channels
from services.orchestrator.use_cases.deliver import measure as measure_deliveries
from services.orchestrator.use_cases.deliver_channel import Means
from services.orchestrator.use_cases.fire_schedules import fire_schedules
from services.orchestrator.use_cases.fire_timers import fire_timers
from services.orchestrator.use_cases.keep_looking import keep_looking
from services.orchestrator.use_cases.learn import Learned, keep_estimates
from services.orchestrator.use_cases.load_ruleset import live_ruleset
from services.orchestrator.use_cases.low_water import LowWater
from services.orchestrator.use_cases.next_best_action import NextBestAction
from services.orchestrator.use_cases.open_channels import OpenChannels
from services.orchestrator.use_cases.prepare_channel import Preparing
from services.orchestrator.use_cases.rehearsal.kept import RecordedUpdates
from services.orchestrator.use_cases.rehearsal.rehearser import Rehearser
from services.orchestrator.use_cases.rehearsal.request import Rehearsing
from services.orchestrator.use_cases.respond import Responder
from services.orchestrator.use_cases.senders import Senders
from services.orchestrator.use_cases.sweep_runs import sweep_runs
from services.orchestrator.use_cases.upkeep import (
    drop_expired_answers,
    keep_measuring,
    sum_up_counts,
)
from services.orchestrator.use_cases.warm_rules import keep_warming
from shared.errors import Misconfigured
from shared.observability.health import Health
from shared.postgres.transaction import transaction
from shared.runtime.assembly import (
    Parts,
    api_role,
    member_name,
    migrate_service,
    partitions_of,
    parts,
    stateful_worker,
)
from shared.runtime.cli import Command, Tool
from shared.runtime.poller import poll
from shared.runtime.service import Role, run_role
from shared.settings import load, read_secret_file

SCHEMA = "orchestrator"
MIGRATIONS = Path(__file__).parent / "storage" / "migrations"
POLITENESS = 15
"""By so much a process that rehearses gives way to all others."""
DELIVER_POOL = 32
"""A channel uses a few connections at a time; so ten of them do not wait for each other."""


def _open_channels(built: Parts) -> OpenChannels:
    return OpenChannels(built.catalogue, built.topics)


async def _worker(settings: OrchestratorSettings) -> Role:
    built = parts(settings, service=SCHEMA, role="worker")
    ruleset = live_ruleset(built.engine, _open_channels(built))
    learned = Learned(built.engine, ruleset)
    return stateful_worker(
        built,
        health=Health(built.name, built.checks()),
        handler=Responder(ruleset=learned, topics=built.topics, counts=built.counts),
        discover=partitions_of(built, built.topics.profile_updates),
        also={"ruleset": ruleset.run, "estimates": learned.run},
    )


async def _poller(settings: OrchestratorSettings) -> Role:
    built = parts(settings, service=SCHEMA, role="poller")
    ruleset = live_ruleset(built.engine, _open_channels(built))
    learned = Learned(built.engine, ruleset)
    low = LowWater()

    async def fire(limit: int) -> int:
        return await fire_timers(
            built.engine,
            ruleset=learned,
            topics=built.topics,
            counts=built.counts,
            limit=limit,
            low=low,
        )

    async def fire_due_schedules(limit: int) -> int:
        return await fire_schedules(
            built.engine, topics=built.topics, counts=built.counts, limit=limit
        )

    async def sweep(limit: int) -> int:
        return await sweep_runs(
            built.engine, ruleset=learned, topics=built.topics, counts=built.counts, limit=limit
        )

    async def postpone(first: Callable[[AsyncConnection], Awaitable[None]]) -> None:
        async with transaction(built.engine) as tx:
            await first(tx)

    definitions = profile_definitions(settings.profile_url, _service_token(settings))
    return Role(
        health=Health(built.name, built.checks()),
        stages=[
            {
                "timers": partial(poll, fire, partial(postpone, timers.postpone_first)),
                "schedules": partial(
                    poll,
                    fire_due_schedules,
                    partial(postpone, schedules.postpone_first),
                    what="schedules",
                ),
                "sweeps": partial(
                    poll, sweep, partial(postpone, run_sweeps.postpone_first), what="sweeps"
                ),
            },
            {
                "warming": partial(keep_warming, built.engine, definitions.register_leaves),
                "ruleset": ruleset.run,
                "estimates": learned.run,
                "prices": partial(keep_estimates, built.engine, ruleset),
                "catalogue": built.catalogue.run,
                "measure": partial(keep_measuring, built.engine, low),
                "slots": partial(drop_expired_answers, built.engine),
                "counts": partial(sum_up_counts, built.engine),
                "experiments": partial(keep_looking, built.engine),
            },
        ],
        closing=[built.engine.dispose, definitions.close],
    )


async def _deliver(settings: OrchestratorSettings) -> Role:
    built = parts(settings, service=SCHEMA, role="deliver", pool_size=DELIVER_POOL)
    channels = live_channels(built.engine, _open_channels(built))
    links = preference_links(settings.profile_url, _service_token(settings))
    means = Means(
        engine=built.engine,
        topics=built.topics,
        counts=built.counts,
        senders=Senders(_outgoing(settings), settings.secrets_folder, links.unsubscribe),
        files=settings.files_folder or settings.home / "files",
    )
    return Role(
        health=Health(built.name, built.checks()),
        stages=[
            {"deliver": Deliver(means, channels).run},
            {
                "channels": channels.run,
                "catalogue": built.catalogue.run,
                "measure": partial(measure_deliveries, built.engine, channels),
                "old": partial(forget_old, built.engine),
            },
        ],
        closing=[built.engine.dispose, links.close],
    )


def _outgoing(settings: OrchestratorSettings) -> AddressPolicy:
    """Raises Misconfigured for a network that is none."""
    try:
        return read_policy(http=settings.outgoing_http, networks=settings.outgoing_networks)
    except ValueError as error:
        raise Misconfigured([f"CONCERT_OUTGOING_NETWORKS: {error}"]) from None


def _service_token(settings: OrchestratorSettings) -> str:
    """Raises Misconfigured without one."""
    if settings.service_token_file is None:
        raise Misconfigured(["CONCERT_SERVICE_TOKEN_FILE: the profile service asks for a token"])
    return read_secret_file(settings.service_token_file)


async def _api(settings: OrchestratorSettings) -> Role:
    # Half of the start of a process that serves no HTTP, if it were imported above.
    from services.orchestrator.api.app import create_app
    from services.orchestrator.api.decide import Asking
    from services.orchestrator.api.profile_client import profile_client
    from services.orchestrator.api.send_test import Sending

    built = parts(settings, service=SCHEMA, role="api")
    health = Health(built.name, built.checks())
    token = _service_token(settings)
    profiles = profile_client(settings.profile_url, token)
    deadline = settings.decide_profile_ms / 1000
    snapshots = Snapshots(settings.profile_url, token, deadline=deadline)
    ruleset = live_ruleset(built.engine, _open_channels(built))
    learned = Learned(built.engine, ruleset)
    definitions = profile_definitions(settings.profile_url, token)
    app = create_app(
        built.engine,
        health=health,
        profiles=profiles,
        asking=Asking(
            NextBestAction(built.engine, ruleset=learned, topics=built.topics, counts=built.counts),
            ruleset,
            snapshots.person,
            secret=hashlib.sha256(b"slots of unknown people\0" + token.encode()).digest(),
        ),
        shiftable_clock=settings.mode == "test",
        topics=built.topics,
        counts=built.counts,
        definitions=definitions,
        preparing=Preparing(
            Outgoing(_outgoing(settings)),
            SecretFolder(settings.secrets_folder),
            _open_channels(built),
        ),
        sending=Sending(built.topics, built.counts),
        rehearsing=Rehearsing(_recorded(settings, built).kept_since, lambda: learned().estimates),
    )
    role = api_role(
        built, health=health, app=app, also={"ruleset": ruleset.run, "estimates": learned.run}
    )
    role.closing += [profiles.close, definitions.close, snapshots.close]
    return role


async def _rehearse(settings: OrchestratorSettings) -> Role:
    os.nice(POLITENESS)
    built = parts(settings, service=SCHEMA, role="rehearse")
    rehearser = Rehearser(
        built.engine,
        member=member_name(settings, built.name),
        recorded=_recorded(settings, built).open,
    )
    return Role(
        health=Health(built.name, built.checks()),
        stages=[{"simulations": rehearser.run}, {"catalogue": built.catalogue.run}],
        closing=[built.engine.dispose],
    )


def _recorded(settings: OrchestratorSettings, built: Parts) -> RecordedUpdates:
    return RecordedUpdates(
        settings.kafka,
        client_id=f"concert-{built.name}-recorded",
        topics=built.topics,
        known=lambda: built.catalogue.known,
    )


def _run(role: str) -> int:
    settings = load(OrchestratorSettings)
    build = {
        "worker": _worker,
        "poller": _poller,
        "deliver": _deliver,
        "rehearse": _rehearse,
        "api": _api,
    }[role]
    return run_role(settings, service=SCHEMA, role=role, build=partial(build, settings))


def _migrate() -> int:
    settings = load(OrchestratorSettings)
    asyncio.run(migrate_service(settings, service=SCHEMA, folder=MIGRATIONS))
    return 0


COMMANDS: dict[str, Command | Tool] = {
    "worker": Command("decide on profile updates and publish actions", partial(_run, "worker")),
    "poller": Command("fire due timers: delayed actions and expiries", partial(_run, "poller")),
    "deliver": Command("send what is queued by webhook, SMTP or file", partial(_run, "deliver")),
    "rehearse": Command(
        "go through recorded updates with drafts, and send nothing", partial(_run, "rehearse")
    ),
    "api": Command("serve configuration, decisions and actions over HTTP", partial(_run, "api")),
    "migrate": Command("bring the schema to its newest revision, then exit", _migrate),
    "export": Tool(files.EXPORT, files.add_arguments, files.run_export),
    "diff": Tool(files.DIFF, files.add_prune, files.run_diff),
    "apply": Tool(files.APPLY, files.add_apply, files.run_apply),
}
