"""Merged profiles: whichever message comes first, what was done for one is known for both."""

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
WINNER, LOSER = uid("ada"), uid("visitor")
CAUSE = {"kind": "merged", "touchpoint": uid("login")}


def messages_of_merge(stage: Stage) -> tuple[Record, Record]:
    """The last message of the loser and the one of the winner."""
    gone = profile_json(LOSER, status="merged", identifiers=[])
    return (
        stage.record(LOSER, CAUSE, profile=gone, merged_into=WINNER),
        stage.record(WINNER, CAUSE, profile=profile_json(WINNER), merged_from=LOSER),
    )


async def merge(stage: Stage, order: str) -> None:
    lost, won = messages_of_merge(stage)
    batches = {"loser": [[lost], [won]], "winner": [[won], [lost]], "together": [[won, lost]]}
    for batch in batches[order]:
        await stage.respond(*batch)


@pytest.fixture(params=["loser", "winner", "together"])
def order(request: pytest.FixtureRequest) -> str:
    """Which message of a merge is seen first."""
    chosen: str = request.param
    return chosen


async def test_everything_moves_to_the_winner(stage: Stage, order: str) -> None:
    bought = [{"event": "Order Completed"}]
    stage.rules = ruleset(
        rule("wait", actions=[email(delay="PT1H")], re_entry={"mode": "never"}),
        rule("other", "Other", exit_criteria=bought),
    )
    await stage.does("cart", who="visitor")
    await stage.does("cart2", who="ada")
    await stage.does("sold", "Order Completed", who="visitor", ago=HOUR)
    await merge(stage, order)
    for table in ("action", "contact_ledger", "timer", "rule_entry", "exit_mark"):
        owners = await stage.rows(f"SELECT DISTINCT profile_id::text FROM {table}")
        assert [row.profile_id for row in owners] == [WINNER], table
    assert await stage.scalar("SELECT count FROM rule_entry") == 2
    states = await stage.rows("SELECT * FROM profile_state ORDER BY merged_into NULLS FIRST")
    assert [(row.in_flight, row.snapshot is None) for row in states] == [(2, False), (0, True)]
    assert str(states[1].merged_into) == WINNER
    assert states[1].last_seq == 3
    await stage.advance(HOUR)
    assert await stage.fire() == 2
    sent = await stage.messages("actions.email")
    assert {one.key for one in sent} == {one.value["profile_id"] for one in sent} == {WINNER}


async def test_a_cap_cannot_be_dodged_by_a_merge(stage: Stage, order: str) -> None:
    stage.rules = ruleset(rule(), policies=[policy({"limit": 1, "window": "P1D"})])
    await stage.does("as-visitor", who="visitor")
    await merge(stage, order)
    await stage.does("as-ada", who="ada")
    assert len(await stage.kinds()) == 1
    (candidate,) = (await stage.last_decision())["candidates"]
    assert candidate["stage"] == "cap"


async def test_a_late_message_of_the_loser_is_judged_against_the_winner(stage: Stage) -> None:
    stage.rules = ruleset(rule(), policies=[policy({"limit": 1, "window": "P1D"})])
    await stage.does("as-ada", who="ada")
    late = await stage.happened("as-visitor", who="visitor")
    lost, won = messages_of_merge(stage)
    await stage.respond(won)
    await stage.respond(late, lost)
    assert len(await stage.kinds()) == 1
    decision = await stage.last_decision()
    assert decision["profile_id"] == WINNER
    assert decision["candidates"][0]["stage"] == "cap"


async def test_what_the_loser_bought_ends_the_winners_reason(stage: Stage, order: str) -> None:
    bought = [{"event": "Order Completed"}]
    stage.rules = ruleset(rule(actions=[email(delay="PT1H")], exit_criteria=bought))
    await stage.does("cart", who="ada", ago=timedelta(minutes=5))
    await stage.does("sold", "Order Completed", who="visitor")
    await merge(stage, order)
    assert await stage.status(action_id("r", "cart")) == "retracted"
    await stage.advance(2 * HOUR)
    await stage.fire()
    assert await stage.kinds() == []


@pytest.mark.parametrize("delay", [None, "PT1H"])
async def test_a_retraction_follows_its_action_to_the_partition_of_the_loser(
    stage: Stage, order: str, delay: str | None
) -> None:
    stage.rules = ruleset(
        rule(actions=[email(delay=delay or "PT0S")], exit_criteria=[{"event": "Order Completed"}])
    )
    await stage.does("cart", who="visitor", ago=timedelta(minutes=5))
    if delay:
        await stage.advance(HOUR)
        await stage.fire()
    await merge(stage, order)
    await stage.does("sold", "Order Completed", who="ada")
    send, retract = await stage.messages("actions.email")
    assert (send.value["kind"], retract.value["kind"]) == ("send", "retract")
    assert retract.value["action_id"] == send.value["action_id"]
    assert {send.key, retract.key} == {LOSER}
    assert {send.value["profile_id"], retract.value["profile_id"]} == {LOSER}
    assert (await stage.last_decision())["profile_id"] == WINNER


async def test_the_losers_consents_do_not_speak_for_the_winner(stage: Stage) -> None:
    stage.rules = ruleset(rule(category="marketing", actions=[email(delay="PT1H")]))
    await stage.does("cart", who="ada")
    late = await stage.happened(
        "page", "Page Viewed", who="visitor", profile=profile_json(LOSER, consents=[])
    )
    lost, won = messages_of_merge(stage)
    await stage.respond(won)
    await stage.respond(late)
    await stage.respond(lost)
    assert await stage.status(action_id("r", "cart")) == "pending"


async def test_a_chain_of_merges_ends_at_the_last_winner(stage: Stage) -> None:
    third = uid("third")
    stage.rules = ruleset(rule(actions=[email(delay="PT1H")]))
    for who in ("visitor", "ada", "third"):
        await stage.does(f"cart-{who}", who=who)
    first = stage.record(
        WINNER, CAUSE, profile=profile_json(WINNER, status="merged"), merged_into=third
    )
    second = stage.record(WINNER, CAUSE, profile=profile_json(WINNER), merged_from=LOSER)
    await stage.respond(first, second)
    await stage.does("late", who="visitor")
    owners = await stage.rows("SELECT DISTINCT profile_id::text FROM action")
    assert [row.profile_id for row in owners] == [third]
    found = await stage.scalar("SELECT in_flight FROM profile_state WHERE profile_id = :p", p=third)
    assert found == 4
