"""Runs of people who turn out to be one, or two again: what several links of one batch mean."""

from datetime import timedelta
from typing import Any

from tests.integration.orchestrator.stage import Stage
from tests.integration.orchestrator.test_part import LOSER, THIRD, WINNER, merge_of, undo_of
from tests.integration.orchestrator.test_runs import in_force, live
from tests.unit.orchestrator.build import profile_json
from tests.unit.orchestrator.journeys.build import end, mail, wait

NODES = (mail("hello", "rest"), wait("rest", duration="P9D"), end())
LATER = timedelta(hours=1)


async def enter(stage: Stage, name: str, who: str, profile_id: str, **more: Any) -> None:
    await stage.does(name, who=who, profile=profile_json(profile_id), **more)


async def reasons(stage: Stage) -> dict[str, str | None]:
    """Why the run of each profile ended."""
    rows = await stage.rows("SELECT home::text, reason FROM journey_run")
    return {row.home: row.reason for row in rows}


async def test_who_entered_once_has_done_so_also_as_the_one_who_was_merged(stage: Stage) -> None:
    """Only once: the run that is over counts, whichever of the two profiles it was of."""
    stage.rules = in_force(
        live(*NODES, re_entry={"mode": "never"}, exit_criteria=[{"event": "Order Completed"}])
    )
    await enter(stage, "t1", "visitor", LOSER)
    await enter(stage, "t2", "visitor", LOSER, event="Order Completed")
    await stage.advance(LATER)
    await enter(stage, "t3", "ada", WINNER)
    for message in merge_of(stage):
        await stage.respond(message)
    assert (await reasons(stage))[WINNER] == "merged"
    for message in undo_of(stage):
        await stage.respond(message)
    assert (await reasons(stage))[WINNER] is None


async def test_who_is_parted_and_merged_in_one_batch_is_both(stage: Stage) -> None:
    """A run that stood aside for that of somebody else does not stand aside for it any more."""
    stage.rules = in_force(live(*NODES, re_entry={"mode": "after_exit"}))
    for name, who, profile_id in (
        ("t1", "visitor", LOSER), ("t2", "ada", WINNER), ("t3", "third", THIRD),
    ):  # fmt: skip
        await enter(stage, name, who, profile_id)
        await stage.advance(LATER)
    await stage.respond(*merge_of(stage))
    assert await reasons(stage) == {LOSER: None, WINNER: "merged", THIRD: None}
    await stage.respond(*undo_of(stage), *merge_of(stage, WINNER, THIRD))
    assert await reasons(stage) == {LOSER: None, WINNER: None, THIRD: "merged"}
    rows = await stage.rows("SELECT home::text, profile_id::text FROM journey_run")
    assert {tuple(row) for row in rows} == {(LOSER, LOSER), (WINNER, THIRD), (THIRD, THIRD)}


async def test_who_comes_back_at_its_own_end_is_in_nobodys_way(stage: Stage) -> None:
    """A run that stood aside until it would have been over stays over."""
    stage.rules = in_force(live(*NODES, re_entry={"mode": "after_exit"}, max_duration="P10D"))
    await enter(stage, "t1", "ada", WINNER)
    await stage.advance(LATER)
    await enter(stage, "t2", "visitor", LOSER)
    await stage.respond(*merge_of(stage))
    assert await reasons(stage) == {LOSER: "merged", WINNER: None}
    await stage.advance(timedelta(days=11))
    await stage.fire()
    await enter(stage, "t3", "visitor", LOSER)
    await stage.respond(*undo_of(stage))
    rows = await stage.rows(
        "SELECT reason FROM journey_run WHERE home = :home ORDER BY entered_at", home=LOSER
    )
    assert [row.reason for row in rows] == ["merged", None]
