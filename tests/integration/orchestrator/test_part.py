"""A merge that is undone: in whatever order its messages come, each side has its own again."""

from datetime import timedelta

import pytest

from shared.kafka.records import Record
from tests.integration.orchestrator.stage import Stage
from tests.unit.orchestrator.build import (
    action_id,
    email,
    policy,
    profile_json,
    rule,
    ruleset,
    uid,
)

HOUR = timedelta(hours=1)
# The smaller id survives, as in the profile service: third < ada < visitor.
WINNER, LOSER, THIRD = uid("ada"), uid("visitor"), uid("third")
MERGED, SPLIT = {"kind": "merged"}, {"kind": "split"}


def merge_of(stage: Stage, loser: str = LOSER, winner: str = WINNER) -> tuple[Record, Record]:
    """The loser's message and the winner's."""
    number = stage.seqs.get(loser, 0) + 1
    gone = profile_json(loser, status="merged", identifiers=[])
    return (
        stage.record(loser, MERGED, profile=gone, merged_into=winner, link_seq=number),
        stage.record(
            winner, MERGED, profile=profile_json(winner), merged_from=loser, link_seq=number
        ),
    )


def undo_of(stage: Stage, loser: str = LOSER, winner: str = WINNER) -> tuple[Record, Record]:
    """The message of the loser that comes back and the winner's."""
    number = stage.seqs[loser] + 1
    return (
        stage.record(loser, SPLIT, profile=profile_json(loser), split_from=winner, link_seq=number),
        stage.record(
            winner, SPLIT, profile=profile_json(winner), split_into=loser, link_seq=number
        ),
    )


async def owners(stage: Stage, table: str) -> set[str]:
    rows = await stage.rows(f"SELECT DISTINCT profile_id::text FROM {table}")
    return {row.profile_id for row in rows}


ORDERS = {
    "in order": ("lm", "wm", "lu", "wu"),
    "loser first": ("lm", "lu", "wm", "wu"),
    "winner first": ("wm", "wu", "lm", "lu"),
    "undo overtakes": ("wm", "lm", "wu", "lu"),
}


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize("order", ORDERS)
async def test_each_side_has_its_own_again(stage: Stage, order: str, together: bool) -> None:
    stage.rules = ruleset(rule("wait", actions=[email(delay="PT1H")], re_entry={"mode": "never"}))
    await stage.does("cart", who="visitor")
    await stage.does("cart2", who="ada")
    loser_merged, winner_merged = merge_of(stage)
    loser_back, winner_back = undo_of(stage)
    named = {"lm": loser_merged, "wm": winner_merged, "lu": loser_back, "wu": winner_back}
    batch = [named[name] for name in ORDERS[order]]
    if together:
        await stage.respond(*batch)
    else:
        for record in batch:
            await stage.respond(record)
    for table in ("action", "contact_ledger", "timer"):
        assert await owners(stage, table) == {WINNER, LOSER}, table
    states = await stage.rows("SELECT * FROM profile_state ORDER BY profile_id")
    assert [(row.merged_into, row.in_flight) for row in states] == [(None, 1), (None, 1)]
    assert all(row.snapshot is not None for row in states)
    await stage.advance(HOUR)
    assert await stage.fire() == 2
    sent = await stage.messages("actions.email")
    assert {one.key for one in sent} == {WINNER, LOSER}


async def test_what_happened_to_one_is_not_repeated_for_either(stage: Stage) -> None:
    stage.rules = ruleset(rule("once", re_entry={"mode": "never"}))
    await stage.does("cart", who="visitor")
    for record in (*merge_of(stage), *undo_of(stage)):
        await stage.respond(record)
    await stage.does("again", who="visitor")
    await stage.does("first", who="ada")
    assert len(await stage.kinds()) == 1


async def test_who_came_back_is_judged_alone(stage: Stage) -> None:
    stage.rules = ruleset(rule(), policies=[policy({"limit": 1, "window": "P1D"})])
    await stage.does("as-visitor", who="visitor")
    for record in (*merge_of(stage), *undo_of(stage)):
        await stage.respond(record)
    await stage.does("as-ada", who="ada")
    assert len(await stage.kinds()) == 2
    await stage.does("once-more", who="visitor")
    assert len(await stage.kinds()) == 2
    assert (await stage.last_decision())["profile_id"] == LOSER


async def test_a_merge_after_an_undo_holds_whichever_message_comes_last(stage: Stage) -> None:
    stage.rules = ruleset(rule(actions=[email(delay="PT1H")]))
    await stage.does("cart", who="visitor")
    first, undone, second = merge_of(stage), undo_of(stage), merge_of(stage)
    for record in (first[0], undone[0], second[0], first[1], undone[1], second[1]):
        await stage.respond(record)
    assert await owners(stage, "action") == {WINNER}
    merged = await stage.scalar(
        "SELECT merged_into::text FROM profile_state WHERE profile_id = :p", p=LOSER
    )
    assert merged == WINNER


async def test_whoever_was_merged_into_the_loser_goes_along(stage: Stage) -> None:
    stage.rules = ruleset(rule(actions=[email(delay="PT1H")]))
    for who in ("visitor", "ada", "third"):
        await stage.does(f"cart-{who}", who=who)
    for record in (*merge_of(stage), *merge_of(stage, WINNER, THIRD)):
        await stage.respond(record)
    assert await owners(stage, "action") == {THIRD}
    for record in undo_of(stage, WINNER, THIRD):
        await stage.respond(record)
    assert await owners(stage, "action") == {THIRD, WINNER}
    await stage.does("late", who="visitor")
    kept = await stage.rows("SELECT profile_id::text, in_flight FROM profile_state ORDER BY 2, 1")
    assert {row.profile_id: row.in_flight for row in kept} == {THIRD: 1, WINNER: 3, LOSER: 0}


async def test_a_purchase_of_who_came_back_ends_only_their_own_reason(stage: Stage) -> None:
    bought = [{"event": "Order Completed"}]
    stage.rules = ruleset(rule(actions=[email(delay="PT1H")], exit_criteria=bought))
    await stage.does("cart", who="visitor")
    await stage.does("cart2", who="ada")
    for record in (*merge_of(stage), *undo_of(stage)):
        await stage.respond(record)
    await stage.does("sold", "Order Completed", who="visitor")
    assert await stage.status(action_id("r", "cart")) == "retracted"
    assert await stage.status(action_id("r", "cart2")) == "pending"


async def test_a_split_off_profile_that_never_was_before_is_nobody_special(stage: Stage) -> None:
    stage.rules = ruleset(rule(actions=[email(delay="PT1H")]))
    await stage.does("cart", who="ada")
    stage.seqs[LOSER] = 0
    for record in undo_of(stage):
        await stage.respond(record)
    await stage.does("cart3", who="visitor")
    assert await owners(stage, "action") == {WINNER, LOSER}
