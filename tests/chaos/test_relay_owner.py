"""The relay's single owner is what keeps updates in order: without it the same checks fail."""

import asyncio
import sys
from dataclasses import replace

import pytest

from deploy.local.services import Role
from shared.contracts.topics import Topics
from tests.chaos import observe
from tests.chaos.run import chaos_run
from tests.oracle.invariants import updates_in_order
from tests.support.kafka import publish
from tests.support.postgres import Database
from tests.support.processes import RoleProcess, RoleProcesses, free_port
from tests.support.stack import Stack

SEED = 3
EVENTS = 2_000
TRIES = 5
"""Without an owner it is chance that decides when two frames change places."""
PEOPLE = 8
"""So few that both workers have updates of the same profile on their way all the time."""
BATCH_RECORDS = "20"
"""Small batches make many frames."""


@pytest.mark.timeout(600)
@pytest.mark.parametrize("relay", ["owner", "mutant"])
async def test_updates_stay_in_order_only_with_one_owner(
    stack: Stack, topics: Topics, database: Database, roles: RoleProcesses, relay: str
) -> None:
    async with chaos_run(stack, topics, database, roles, SEED, rules=False) as run:
        run.start("ingest", "worker")
        team = [start_worker(roles, relay, f"worker-{number}") for number in (1, 2)]
        await asyncio.gather(*(process.until_ready() for process in team))
        run.flow.people = PEOPLE
        problems = []
        for _ in range(1 if relay == "owner" else TRIES):
            for _ in range(EVENTS // 100):
                await publish(stack.kafka, run.flow.next(100))
            await run.settle(hops=("ingest", "profile"))
            problems = updates_in_order(await observe.updates(stack.kafka, topics))
            if problems:
                break
    print(f"{relay}: {len(problems)} violations of the order, for example {problems[:2]}")
    assert bool(problems) == (relay == "mutant"), problems


def start_worker(roles: RoleProcesses, relay: str, member: str) -> RoleProcess:
    """A profile worker whose relay is slow, with one owner for each shard or with none."""
    port = free_port()
    command = roles.deployment.role_command(
        Role("profile", "worker"),
        name=f"{relay}-{member}",
        metrics_port=port,
        http_port=None,
        extra={"CONCERT_MEMBER": member, "CONCERT_BATCH_RECORDS": BATCH_RECORDS},
    )
    argv = [sys.executable, "-m", "tests.chaos.relay_without_owner", relay]
    return roles.run(replace(command, argv=argv), port, None)
