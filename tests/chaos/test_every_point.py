"""kill -9 at every crash point of every role, under a flow of events: nothing lost or doubled."""

import pytest

from shared.contracts.topics import Topics
from tests.chaos.cycles import crash_everywhere
from tests.chaos.run import chaos_run
from tests.support.postgres import Database
from tests.support.processes import RoleProcesses
from tests.support.stack import Stack

SEED = 1
RATE = 150


@pytest.mark.timeout(900)
async def test_a_kill_at_every_point_of_every_role_changes_nothing(
    stack: Stack, topics: Topics, database: Database, roles: RoleProcesses
) -> None:
    async with chaos_run(stack, topics, database, roles, SEED) as run:
        async with run.flowing(RATE):
            kills = await crash_everywhere(run)
        await run.settle()
        print(f"{sum(kills.values())} kills: {kills}")
        assert await run.violations() == {}
