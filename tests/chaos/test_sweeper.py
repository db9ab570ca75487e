"""The sweeper dies at every point of its work on definitions and deadlines: nothing is lost or
doubled, and every number of every profile is there once."""

import signal
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from services.profile.storage.tables import SCHEMA
from services.profile.use_cases import backfill_definitions, sweep_deadlines
from shared import clock
from shared.contracts.times import rfc3339
from shared.postgres.engine import create_engine
from tests.integration.profile.corrector import Corrector
from tests.integration.profile.definer import Definer
from tests.integration.profile.worker import Worker
from tests.support.eventually import eventually
from tests.support.postgres import Database
from tests.support.processes import RoleProcesses
from tests.unit.profile.world import order, touchpoint

PEOPLE = 450
"""More than two pages of the sweeper's 200."""
KILLS = [
    (point, nth)
    for point in (*backfill_definitions.CRASH_POINTS, *sweep_deadlines.CRASH_POINTS)
    for nth in (1, 2)
]
"""At the first page and at the second; definitions come first, and again after each kill."""


def buyer(number: int) -> dict[str, Any]:
    """An order of somebody who is a buyer for another day."""
    at = rfc3339(clock.now() - timedelta(days=29))
    return {**order(number, ("user_id", f"u{number}")), "occurred_at": at}


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("point", "nth"), KILLS)
async def test_a_killed_sweeper_leaves_nothing_undone_and_nothing_twice(
    point: str, nth: int, roles: RoleProcesses, database: Database
) -> None:
    engine = create_engine(database.profile, schema=SCHEMA, application="test")
    try:
        worker = Worker(engine)
        definer = Definer(worker)
        await definer.settle()
        await worker.absorb_in_batches([buyer(n) for n in range(PEOPLE)], 150)
        condition = {"event": "Order Completed", "within": "P30D"}
        await definer.segment("buyers", condition)
        if point in sweep_deadlines.CRASH_POINTS:
            await definer.settle(200)
            await make_due(worker, definer)
        named = {"CONCERT_MEMBER": "sweeper-1"}
        armed = named | {"CONCERT_CRASH": f"{point}:{nth}"}
        doomed = roles.start("profile", "sweeper", extra=armed)
        code = await eventually(
            doomed.exit_code, until=lambda code: code is not None, within=60, what="it dies"
        )
        assert code == -signal.SIGKILL, doomed.log(4000)
        roles.start("profile", "sweeper", extra=named)
        if point not in sweep_deadlines.CRASH_POINTS:
            await until_none(worker, "SELECT 1 FROM definition_job WHERE finished_at IS NULL")
            job = await definer.job("segment", "buyers")
            assert (job.status, job.examined, job.changed) == ("done", PEOPLE, PEOPLE)
            await make_due(worker, definer)
        await until_none(worker, "SELECT 1 FROM deadline WHERE due_at <= (SELECT clock.now())")
        await as_if_nothing_died(worker)
    finally:
        await engine.dispose()


async def make_due(worker: Worker, definer: Definer) -> None:
    """Two days pass, and one pair is united and parted: all have to be looked at again."""
    await worker.absorb(
        touchpoint(1000, ("email", "a@b.example")),
        touchpoint(1001, ("email", "a@b.example"), ("user_id", "u1")),
    )
    corrector = Corrector(worker)
    (merge,) = await corrector.open_merges()
    await corrector.undo(merge)
    await definer.advance_clock(timedelta(days=2))


async def until_none(worker: Worker, statement: str) -> None:
    """Wait until the statement finds nothing."""

    async def found() -> bool:
        return not await worker.rows(statement)

    await eventually(found, within=60, what=statement)


async def as_if_nothing_died(worker: Worker) -> None:
    """Everybody was in once and out once, and the updates are numbered without a gap."""
    assert not [one.id for one in await worker.active() if one.standing.segments]
    updates = await worker.updates()
    told = Counter(
        (one["profile_id"], one["cause"]["kind"]) for one in updates if "segment" in one["cause"]
    )
    assert Counter(kind for _, kind in told) == {"segment_entered": PEOPLE, "segment_left": PEOPLE}
    assert set(told.values()) == {1}
    numbers: dict[str, list[int]] = {}
    for one in updates:
        numbers.setdefault(one["profile_id"], []).append(one["seq"])
    assert all(found == list(range(1, len(found) + 1)) for found in numbers.values())
    stored = await worker.rows("SELECT id::text, seq FROM profile")
    assert dict(stored) == {one: len(found) for one, found in numbers.items()}
