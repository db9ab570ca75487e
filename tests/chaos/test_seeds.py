"""More seeds of the same, with several processes of each role and frozen ones that come back.

Runs when `CHAOS_SEEDS` says how many (`make chaos`).
"""

import asyncio
import os

import pytest

from shared.contracts.topics import Topics
from tests.chaos.cycles import crash_everywhere, freeze_once
from tests.chaos.run import Run, chaos_run
from tests.support.postgres import Database
from tests.support.processes import RoleProcesses
from tests.support.stack import Stack

FIRST_SEED = 100
RATE = 150
LONGER_THAN_A_LEASE = 14.0
"""Also longer than PostgreSQL lets a frozen transaction hold its locks (10 s)."""

FREEZE = ("runtime.before_commit", "runtime.outbox_inserted", "relay.produced", "relay.read")


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "seed", range(FIRST_SEED, FIRST_SEED + int(os.environ.get("CHAOS_SEEDS", "0")))
)
async def test_kills_and_zombies_change_nothing(
    stack: Stack, topics: Topics, database: Database, roles: RoleProcesses, seed: int
) -> None:
    async with chaos_run(stack, topics, database, roles, seed) as run:
        async with run.flowing(RATE):
            await crash_everywhere(run, passes=5)
            await zombies(run)
        await run.settle()
        assert await run.violations() == {}


async def zombies(run: Run) -> None:
    """Freeze a process of each stateful role at each place where it holds something."""
    for point in run.draw.sample(FREEZE, len(FREEZE)):
        await asyncio.gather(
            *(
                freeze_once(run, service, "worker", f"{point}:2", LONGER_THAN_A_LEASE)
                for service in ("profile", "orchestrator")
            )
        )
