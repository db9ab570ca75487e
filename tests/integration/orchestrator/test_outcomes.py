"""Delivery events in the worker: what they change, once, for the right person."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from shared.observability.registry import REGISTRY
from tests.integration.orchestrator.stage import Stage
from tests.integration.orchestrator.test_part import merge_of, undo_of
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
MINUTE = timedelta(minutes=1)
SENT = action_id("r", "cart")
BOUGHT: dict[str, Any] = {"exit_criteria": [{"event": "Order Completed"}]}
CALL = {"type": "task", "channel": "call_centre", "content": {"body": "Call"}, "queue": "vip"}


async def said(stage: Stage, name: str, event: str, action: UUID = SENT, **more: Any) -> None:
    properties = {"action_id": str(action), **more.pop("properties", {})}
    await stage.does(name, event, properties=properties, **more)


def counted(result: str) -> float:
    """How many bounces had this result so far."""
    labels = {"outcome": "bounced", "result": result}
    return REGISTRY.get_sample_value("concert_delivery_events_total", labels) or 0.0


async def row(stage: Stage, action: UUID = SENT) -> Any:
    (found,) = await stage.rows("SELECT * FROM action WHERE action_id = :id", id=str(action))
    return found


async def contact(stage: Stage, action: UUID = SENT) -> str:
    status: str = await stage.scalar(
        "SELECT status FROM contact_ledger WHERE action_id = :id", id=str(action)
    )
    return status


async def test_what_is_said_of_an_action_is_kept_and_shown(stage: Stage) -> None:
    stage.rules = ruleset(rule(topic="news", group="cart"))
    await stage.does("cart")
    await said(stage, "d", "email.delivered")
    await said(stage, "o", "opened")
    found = await row(stage)
    assert (found.delivery, found.response, found.status) == ("delivered", "opened", "published")
    rows = await stage.rows("SELECT * FROM outcome ORDER BY outcome")
    assert [(one.outcome, one.rule, one.topic, one.grp) for one in rows] == [
        ("delivered", "r", "news", "cart"),
        ("opened", "r", "news", "cart"),
    ]
    assert await contact(stage) == "made"


@pytest.mark.parametrize(
    ("outcome", "status"), [("bounced", "failed"), ("failed", "failed"), ("expired", "expired")]
)
async def test_whoever_was_not_reached_was_not_contacted(
    stage: Stage, outcome: str, status: str
) -> None:
    stage.rules = ruleset(rule(), policies=[policy({"limit": 1, "window": "P1D"})])
    await stage.does("cart")
    await said(stage, "b", f"email.{outcome}", properties={"reason": "no such mailbox"})
    found = await row(stage)
    assert (found.status, found.delivery, found.reason) == (status, outcome, "no such mailbox")
    assert await contact(stage) == "released"
    await stage.does("cart2")
    assert await stage.kinds() == ["send", "send"]


@pytest.mark.parametrize("order", [("delivered", "bounced"), ("bounced", "delivered")])
async def test_a_contact_counts_again_when_it_came_through_after_all(
    stage: Stage, order: tuple[str, str]
) -> None:
    stage.rules = ruleset(rule(), policies=[policy({"limit": 1, "window": "P1D"})])
    await stage.does("cart", ago=HOUR)
    when = {"bounced": 2 * MINUTE, "delivered": MINUTE}
    for outcome in order:
        await said(stage, outcome, f"email.{outcome}", ago=when[outcome])
    assert (await row(stage)).delivery == "delivered"
    assert await contact(stage) == "made"
    await stage.does("cart2")
    assert await stage.kinds() == ["send"]


@pytest.mark.parametrize("together", [True, False])
async def test_the_same_event_again_is_noted_once(stage: Stage, together: bool) -> None:
    stage.rules = ruleset(rule())
    await stage.does("cart")
    properties = {"action_id": str(SENT)}
    records = [await stage.happened("o", "opened", properties=properties) for _ in range(2)]
    for batch in [records] if together else [[one] for one in records]:
        await stage.respond(*batch)
    assert await stage.scalar("SELECT count(*) FROM outcome") == 1


async def test_an_action_and_what_is_said_of_it_in_one_batch(stage: Stage) -> None:
    stage.rules = ruleset(rule(**BOUGHT))
    cart = await stage.happened("cart", ago=MINUTE)
    told = await stage.happened("b", "email.bounced", properties={"action_id": str(SENT)})
    await stage.respond(cart, told)
    assert (await row(stage)).status == "failed"
    assert await contact(stage) == "released"
    assert await stage.scalar("SELECT in_flight FROM profile_state") == 0


async def test_what_is_said_of_somebody_elses_action_changes_nothing(stage: Stage) -> None:
    stage.rules = ruleset(rule())
    await stage.does("cart")
    before = counted("other_person")
    await said(stage, "b", "email.bounced", who="bo")
    await said(stage, "c", "email.bounced", action=UUID(int=5))
    await stage.does("d", "email.bounced", properties={"action_id": "no id"})
    assert counted("other_person") == before + 1
    assert (await row(stage)).delivery is None
    assert await stage.scalar("SELECT count(*) FROM outcome") == 0


async def test_an_action_that_was_not_published_cannot_have_an_outcome(stage: Stage) -> None:
    stage.rules = ruleset(rule(actions=[email(delay="PT1H")]))
    await stage.does("cart")
    await said(stage, "b", "email.bounced")
    assert (await row(stage)).status == "pending"
    await stage.advance(HOUR)
    await stage.fire()
    assert await stage.kinds() == ["send"]


async def test_of_an_action_of_a_merged_profile_the_survivor_may_speak(stage: Stage) -> None:
    stage.rules = ruleset(rule())
    await stage.does("cart", who="visitor")
    for record in merge_of(stage):
        await stage.respond(record)
    await said(stage, "b", "email.bounced", who="ada")
    await said(stage, "o", "email.opened", who="visitor")
    assert (await row(stage)).response == "opened"
    for record in undo_of(stage):
        await stage.respond(record)
    rows = await stage.rows("SELECT DISTINCT profile_id::text FROM outcome")
    assert [one.profile_id for one in rows] == [uid("visitor")]


@pytest.mark.parametrize("outcome", ["accepted", "declined", "redeemed", "bounced", "failed"])
async def test_what_is_over_is_not_taken_back(stage: Stage, outcome: str) -> None:
    stage.rules = ruleset(rule(**BOUGHT))
    await stage.does("cart", ago=MINUTE)
    await said(stage, "a", f"email.{outcome}")
    await stage.does("till", "Order Completed")
    assert await stage.kinds() == ["send"]
    assert await stage.scalar("SELECT in_flight FROM profile_state") == 0


async def test_what_was_only_seen_is_taken_back(stage: Stage) -> None:
    stage.rules = ruleset(rule(**BOUGHT))
    await stage.does("cart", ago=MINUTE)
    await said(stage, "a", "email.opened")
    await stage.does("till", "Order Completed")
    assert await stage.kinds() == ["send", "retract"]
    await said(stage, "late", "email.clicked")
    found = await row(stage)
    assert (found.status, found.response, found.reached) == ("retracted", "clicked", "published")
    assert await contact(stage) == "made"


async def test_an_outcome_may_trigger_a_rule_and_end_a_reason(stage: Stage) -> None:
    app = email(channel="web")
    stage.rules = ruleset(
        rule(actions=[email(), email(channel="sms", delay="PT2H")], category="transactional",
             exit_criteria=[{"event": "email.opened"}]),
        rule("thanks", "email.clicked", actions=[app], category="transactional"),
    )  # fmt: skip
    phone = {"identifiers": [{"type": "email", "value": "a@b.c"}, {"type": "phone", "value": "+1"}]}
    await stage.does("cart", ago=MINUTE, profile=profile(**phone))
    await said(stage, "o", "email.opened")
    assert await stage.status(action_id("r", "cart", 1)) == "retracted"
    await said(stage, "k", "email.clicked")
    assert await stage.kinds("web") == ["send"]


def profile(**fields: Any) -> dict[str, Any]:
    return profile_json(uid("ada"), **fields)


async def test_a_task_leaves_its_queue_when_its_reason_ends(stage: Stage) -> None:
    stage.rules = ruleset(rule(actions=[CALL]))
    await stage.does("cart")
    (task,) = await stage.rows("SELECT * FROM task")
    assert (task.status, task.queue, task.channel) == ("open", "vip", "call_centre")
    no = [{"purpose": "service", "channel": "call_centre", "status": "denied", "at": "2026-11-21"}]
    cause = {"kind": "consent_changed", "id": uid("no")}
    await stage.respond(stage.record(uid("ada"), cause, profile=profile(consents=no)))
    (task,) = await stage.rows("SELECT * FROM task")
    assert task.status == "withdrawn"
    assert task.reason.startswith("consent_denied")
    assert await stage.kinds("call_centre") == ["task", "retract"]
    assert (await row(stage)).reached == "open"
    await stage.advance(timedelta(days=2))
    await stage.fire()
    assert await stage.messages("channel.call_centre") == []


async def test_a_task_that_nobody_does_expires(stage: Stage) -> None:
    stage.rules = ruleset(rule(actions=[{**CALL, "expires_in": "PT2H"}]))
    await stage.does("cart")
    assert await stage.fire() == 0
    await stage.advance(2 * HOUR)
    assert await stage.fire() == 1
    (told,) = await stage.messages("channel.call_centre")
    assert told.value["type"] == "call_centre.expired"
    assert told.value["identifiers"] == [{"type": "profile_id", "value": uid("ada")}]
    assert await stage.scalar("SELECT status FROM task") == "expired"
    assert await stage.scalar("SELECT in_flight FROM profile_state") == 1
    await said(stage, "x", "call_centre.expired")
    assert (await row(stage)).status == "expired"
    assert await contact(stage) == "released"
    assert await stage.scalar("SELECT in_flight FROM profile_state") == 0


async def test_a_task_somebody_is_at_expires_when_they_let_it_go(stage: Stage) -> None:
    stage.rules = ruleset(rule(actions=[{**CALL, "expires_in": "PT2H"}]))
    await stage.does("cart")
    await stage.rows(
        "UPDATE task SET status = 'claimed', holder = 'x', holder_name = 'x',"
        " lease_until = now() + interval '1 hour' RETURNING 1"
    )
    await stage.advance(2 * HOUR)
    assert await stage.fire() == 1
    assert await stage.messages("channel.call_centre") == []
    await stage.rows("UPDATE task SET lease_until = now() RETURNING 1")
    assert await stage.fire() == 0
    await stage.advance(HOUR)
    assert await stage.fire() == 1
    assert len(await stage.messages("channel.call_centre")) == 1


async def test_a_delayed_task_has_no_row_before_its_time(stage: Stage) -> None:
    stage.rules = ruleset(rule(actions=[{**CALL, "delay": "PT1H"}], score={"value": 7}))
    await stage.does("cart")
    assert await stage.rows("SELECT * FROM task") == []
    await stage.advance(HOUR)
    await stage.fire()
    (task,) = await stage.rows("SELECT * FROM task")
    assert task.priority == 7
    await said(stage, "x", "call_centre.accepted")
    assert (await row(stage)).status == "done"
    assert await stage.scalar("SELECT in_flight FROM profile_state") == 0


async def test_tasks_follow_merges_and_splits(stage: Stage) -> None:
    stage.rules = ruleset(rule(actions=[CALL]))
    await stage.does("cart", who="visitor")
    for record in merge_of(stage):
        await stage.respond(record)
    assert await stage.scalar("SELECT profile_id::text FROM task") == uid("ada")
    for record in undo_of(stage):
        await stage.respond(record)
    assert await stage.scalar("SELECT profile_id::text FROM task") == uid("visitor")
