"""Runs of people who become one, and two again, beside erasures, sweeps and pauses."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from services.orchestrator.domain.journeys.facts import Paused
from services.orchestrator.storage import profile_states, run_sweeps, runs
from services.orchestrator.use_cases.operate_run import operate_run
from shared.contracts.topics import Topics
from shared.errors import Infrastructure
from shared.postgres.epochs import bump_epoch
from shared.postgres.transaction import transaction
from tests.integration.orchestrator.stage import COUNTS, Stage
from tests.integration.orchestrator.test_part import LOSER, WINNER, merge_of, undo_of
from tests.integration.orchestrator.test_runs import DAY, WHO, in_force, live, run_of, sweep
from tests.support.eventually import eventually
from tests.unit.orchestrator.build import profile_json, uid
from tests.unit.orchestrator.journeys.build import end, mail, wait

REST = (wait("rest", "mail", duration="P2D"), mail("mail"), end())


async def both_enter(stage: Stage) -> None:
    await stage.does("t1", who="visitor", profile=profile_json(LOSER))
    await stage.does("t2", who="ada", profile=profile_json(WINNER))


async def stand(stage: Stage) -> dict[str, tuple[str, str | None]]:
    """Status and reason of the run that each profile began, by profile."""
    rows = await stage.rows("SELECT home::text, status, reason FROM journey_run")
    return {row.home: (row.status, row.reason) for row in rows}


async def under_way(stage: Stage) -> dict[str, int]:
    rows = await stage.rows("SELECT profile_id::text, in_flight FROM profile_state")
    return {row.profile_id: row.in_flight for row in rows}


async def test_after_a_split_what_happens_still_matters_to_both(stage: Stage) -> None:
    stage.rules = in_force(
        live(*REST, re_entry={"mode": "after_exit"}, exit_criteria=[{"event": "Order Completed"}])
    )
    await both_enter(stage)
    for message in (*merge_of(stage), *undo_of(stage)):
        await stage.respond(message)
    assert await under_way(stage) == {WINNER: 1, LOSER: 1}
    await stage.does("t3", "Order Completed", who="visitor", profile=profile_json(LOSER))
    assert await stand(stage) == {
        LOSER: ("exited", "exit: Order Completed on web"), WINNER: ("waiting", None),
    }  # fmt: skip


@pytest.mark.parametrize("gone", [LOSER, WINNER])
async def test_an_undo_and_an_erasure_in_one_batch(stage: Stage, gone: str) -> None:
    """Whoever stays has their run back, whichever side's message comes with the erasure."""
    stage.rules = in_force(live(*REST, re_entry={"mode": "after_exit"}))
    await both_enter(stage)
    for message in merge_of(stage):
        await stage.respond(message)
    back, _ = undo_of(stage)
    erasure = stage.record(gone, {"kind": "erased", "id": uid("x")})
    await stage.respond(*((back, erasure) if gone == LOSER else (erasure, back)))
    stays = WINNER if gone == LOSER else LOSER
    assert await stand(stage) == {stays: ("waiting", None)}
    assert (await under_way(stage))[stays] == 1
    await stage.advance(2 * DAY)
    await stage.fire()
    assert [one.key for one in await stage.messages("actions.email")] == [stays]


async def test_a_late_update_of_who_was_merged_away_shows_runs_the_person_as_they_are(
    stage: Stage,
) -> None:
    golden = wait(
        "rest", "mail", until={"attr": "profile.tier", "op": "eq", "value": "gold"}, timeout="P9D"
    )
    stage.rules = in_force(live(golden, mail("mail"), end(), re_entry={"mode": "after_exit"}))
    await stage.does("t2", who="ada", profile=profile_json(WINNER, traits={"tier": "silver"}))
    for message in merge_of(stage):
        await stage.respond(message)
    was = profile_json(LOSER, traits={"tier": "gold"})
    await stage.does("late", "Page Viewed", who="visitor", profile=was)
    assert await stage.kinds() == []
    now = profile_json(WINNER, traits={"tier": "gold"})
    await stage.does("t3", "Page Viewed", who="ada", profile=now)
    assert await stage.kinds() == ["send"]


async def test_what_a_run_sent_while_they_were_one_goes_back_with_it(stage: Stage) -> None:
    call = {
        "id": "call", "type": "task", "channel": "call_centre", "queue": "sales",
        "content": {"body": "Call"}, "outcomes": {"accepted": "end"}, "next": "end",
    }  # fmt: skip
    stage.rules = in_force(
        live(wait("rest", "call", duration="P1D"), call, end(), re_entry={"mode": "always"},
             exit_criteria=[{"event": "Order Completed"}])
    )  # fmt: skip
    await stage.does("t1", who="visitor", profile=profile_json(LOSER))
    for message in merge_of(stage):
        await stage.respond(message)
    await stage.advance(DAY)
    await stage.fire()
    assert await stage.kinds("call_centre") == ["task"]
    for message in undo_of(stage):
        await stage.respond(message)
    assert (await under_way(stage)) == {WINNER: 0, LOSER: 2}
    await stage.does("t3", "Order Completed", who="visitor", profile=profile_json(LOSER))
    assert await stage.kinds("call_centre") == ["task", "retract"]


async def test_a_sweep_tells_who_is_merged_while_it_waits_for_them(stage: Stage) -> None:
    stage.rules = in_force(live(*REST, re_entry={"mode": "always"}))
    await both_enter(stage)
    async with transaction(stage.engine) as tx:
        await run_sweeps.add(tx, "j", "stopped")
    async with transaction(stage.engine) as tx:
        await profile_states.lock(tx, [LOSER])
        sweeping = asyncio.create_task(sweep(stage))
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        await eventually(lambda: stage.scalar(waiting), until=bool, what="the sweep waits")
        for table in ("journey_run", "timer"):
            await stage_moves(tx, table)
    assert await sweeping == 2
    assert set((await stand(stage)).values()) == {("exited", "archived")}


async def stage_moves(tx: Any, table: str) -> None:
    """What a merge does to a table of runs."""
    from sqlalchemy import text

    given = {"winner": WINNER, "loser": LOSER}
    await tx.execute(
        text(f"UPDATE {table} SET profile_id = :winner WHERE profile_id = :loser"), given
    )


async def hold(stage: Stage, who: str) -> None:
    """An operator holds the run of a person."""
    run = await run_of(stage, who)
    await operate_run(
        stage.engine, run["id"], lambda before, person: Paused(), action="pause",
        ruleset=stage.rules, topics=Topics(), counts=COUNTS, who=WHO,
    )  # fmt: skip


@pytest.mark.parametrize("rate", [None, timedelta(minutes=10)])
async def test_the_end_of_a_pause_leaves_who_is_held_for_themselves(
    stage: Stage, rate: timedelta | None
) -> None:
    """And only who has a step to take stands in the line."""
    stage.rules = in_force(live(*REST))
    people = ["ada", "bob", "cy"]
    await stage.respond(*[await stage.happened(f"t-{who}", who=who) for who in people])
    await hold(stage, "bob")
    await stage.advance(DAY)
    await stage.respond(await stage.happened("t-dee", who="dee"))
    stage.rules = in_force(live(*REST, paused=True))
    await stage.advance(DAY)
    assert await stage.fire() == 3
    stage.rules = in_force(live(*REST))
    async with transaction(stage.engine) as tx:
        await run_sweeps.add(tx, "j", "resumed", rate)
    while await sweep(stage):
        pass
    assert await stage.scalar("SELECT count(*) FROM timer WHERE kind = 'go_on'") == (
        0 if rate is None else 3
    )
    await stage.advance(timedelta(hours=1))
    await stage.fire()
    assert sorted(one.key for one in await stage.messages("actions.email")) == sorted(
        [uid("ada"), uid("cy")]
    )
    assert (await run_of(stage, "bob"))["status"] == "waiting"
    assert (await run_of(stage, "dee"))["node"] == "rest"


async def test_a_pause_that_is_over_by_now_holds_nobody(stage: Stage) -> None:
    """A worker that has not loaded its end waits for it; else who is held would be so for good."""
    epoch = await stage.scalar("SELECT epoch FROM config_epoch")
    paused = in_force(live(*REST, paused=True))
    paused.epoch = epoch
    stage.rules = paused
    async with transaction(stage.engine) as tx:
        await bump_epoch(tx)
    entered = await stage.happened("t1")
    with pytest.raises(Infrastructure, match="not loaded"):
        await stage.respond(entered)
    stage.rules = in_force(live(*REST))
    await stage.respond(entered)
    assert (await run_of(stage))["node"] == "rest"


async def test_counts_that_say_the_same_become_one_row(stage: Stage) -> None:
    stage.rules = in_force(live(*REST))
    for who in ("ada", "bob", "cy"):
        await stage.respond(await stage.happened(f"t-{who}", who=who))
    query = "SELECT node, kind, word, day, sum(n) AS n FROM journey_count GROUP BY 1, 2, 3, 4"
    before = {tuple(row) for row in await stage.rows(query)}
    for _ in range(2):
        async with transaction(stage.engine) as tx:
            await runs.sum_up(tx)
    rows = {tuple(row) for row in await stage.rows("SELECT node, kind, word, day, n "
                                                  "FROM journey_count")}  # fmt: skip
    assert len(rows) == await stage.scalar("SELECT count(*) FROM journey_count")
    assert rows == before
