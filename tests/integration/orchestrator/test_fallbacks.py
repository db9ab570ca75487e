"""What is done instead of an action that came to nothing on its channel."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from services.orchestrator.domain.action_ids import fallback_id
from shared.contracts.times import rfc3339
from tests.integration.orchestrator.stage import Stage
from tests.unit.orchestrator.build import (
    GRANTED,
    action_id,
    email,
    policy,
    profile_json,
    rule,
    ruleset,
    uid,
)

HOUR = timedelta(hours=1)
SENT = action_id("r", "cart")
REACHABLE = [{"type": "email", "value": "ada@b.c"}, {"type": "phone", "value": "+33612345678"}]
NO_SMS = [
    *GRANTED,
    {"purpose": "marketing", "channel": "sms", "status": "denied", "at": "2026-02-01"},
]


def sms(*on: str, **fields: Any) -> dict[str, Any]:
    return {"on": list(on), **email(channel="sms", **fields)}


def call(*on: str) -> dict[str, Any]:
    content = {"body": "Call {{ profile.first_name }}"}
    return {"on": list(on), "type": "task", "channel": "call_centre", "content": content}


def rules(*fallback: dict[str, Any], **fields: Any) -> Any:
    actions = [email(expires_in="PT2H", fallback=list(fallback))]
    return rule(category="marketing", actions=actions, score={"value": 5}, **fields)


def ada(**fields: Any) -> dict[str, Any]:
    return profile_json(uid("ada"), identifiers=REACHABLE, **fields)


async def said(stage: Stage, name: str, event: str, action: UUID = SENT, **more: Any) -> None:
    profile = more.pop("profile", ada())
    await stage.does(name, event, properties={"action_id": str(action)}, profile=profile, **more)


async def in_flight(stage: Stage) -> int:
    count: int = await stage.scalar("SELECT in_flight FROM profile_state")
    return count


async def test_a_bounced_mail_is_followed_by_a_text_message(stage: Stage) -> None:
    stage.rules = ruleset(
        rules(sms("undeliverable")), policies=[policy({"limit": 1, "window": "P1D"})]
    )
    await stage.does("cart", profile=ada())
    await said(stage, "b", "email.bounced")
    (text,) = await stage.messages("actions.sms")
    assert text.value["action_id"] == str(fallback_id(SENT, 0))
    assert text.value["to"] == REACHABLE[1]
    (row,) = await stage.rows("SELECT * FROM action WHERE channel = 'sms'")
    assert row.instead_of == SENT
    assert await stage.status(SENT) == "failed"
    decision = await stage.last_decision()
    assert decision["id"] == text.value["decision_id"]
    assert decision["action_ids"] == [text.value["action_id"]]
    await said(stage, "again", "email.failed")
    assert await stage.kinds("sms") == ["send"]


async def test_without_consent_nothing_follows_and_the_record_says_so(stage: Stage) -> None:
    stage.rules = ruleset(rules(sms("undeliverable")))
    await stage.does("cart", profile=ada())
    await said(stage, "b", "email.bounced", profile=ada(consents=NO_SMS))
    assert await stage.messages("actions.sms") == []
    decision = await stage.last_decision()
    assert decision["outcome"] == "suppressed"
    (candidate,) = decision["candidates"]
    assert (candidate["stage"], candidate["reason"]) == ("consent", "consent_denied")
    assert await in_flight(stage) == 0


@pytest.mark.parametrize(
    ("outcome", "follows"),
    [("bounced", False), ("declined", True), ("accepted", False), ("opened", False)],
)
async def test_only_what_the_fallback_is_for(stage: Stage, outcome: str, follows: bool) -> None:
    stage.rules = ruleset(rules(sms("declined")))
    await stage.does("cart", profile=ada())
    await said(stage, "b", f"email.{outcome}")
    assert bool(await stage.kinds("sms")) is follows


async def test_a_fallback_has_its_own_fallback_and_only_one_is_under_way(stage: Stage) -> None:
    stage.rules = ruleset(rules(sms("undeliverable"), call("undeliverable", "expired")))
    await stage.does("cart", profile=ada())
    await said(stage, "b", "email.bounced")
    assert await in_flight(stage) == 1
    await said(stage, "c", "sms.failed", action=fallback_id(SENT, 0))
    assert await stage.kinds("call_centre") == ["task"]
    assert await in_flight(stage) == 1
    await said(stage, "d", "call_centre.failed", action=fallback_id(SENT, 1))
    assert await in_flight(stage) == 0


@pytest.mark.parametrize("read", [True, False])
async def test_what_nobody_looked_at_in_time_becomes_a_call(stage: Stage, read: bool) -> None:
    stage.rules = ruleset(rules(call("expired")))
    await stage.does("cart", profile=ada())
    await said(stage, "d", "email.delivered")
    if read:
        await said(stage, "o", "email.opened")
    await stage.advance(2 * HOUR)
    assert await stage.fire() == 1
    assert await stage.kinds("call_centre") == ([] if read else ["task"])
    assert await stage.status(SENT) == "done"
    assert await in_flight(stage) == (0 if read else 1)


async def test_a_reason_that_ended_ends_the_fallback_too(stage: Stage) -> None:
    stage.rules = ruleset(
        rules(call("undeliverable"), exit_criteria=[{"event": "Order Completed"}])
    )
    await stage.does("cart", profile=ada(), ago=timedelta(minutes=1))
    await said(stage, "b", "email.bounced")
    await stage.does("till", "Order Completed", profile=ada())
    assert await stage.kinds("call_centre") == ["task", "retract"]
    assert await stage.scalar("SELECT status FROM task") == "withdrawn"
    assert await in_flight(stage) == 0


async def test_what_cannot_be_sent_when_it_is_due_goes_another_way(stage: Stage) -> None:
    mail = email(delay="PT1H", fallback=[sms("no_consent")])
    stage.rules = ruleset(rule(category="marketing", actions=[mail], score={"value": 5}))
    until = rfc3339(await stage.now() + HOUR)
    ends = {"purpose": "marketing", "channel": "email", "status": "granted", "expires_at": until}
    texts = {"purpose": "marketing", "channel": "sms", "status": "granted", "at": "2026-01-01"}
    await stage.does("cart", profile=ada(consents=[ends, texts]))
    await stage.advance(HOUR)
    await stage.fire()
    assert await stage.kinds() == []
    assert await stage.status(SENT) == "retracted"
    assert await stage.kinds("sms") == ["send"]
    assert await in_flight(stage) == 1


async def test_what_waited_too_long_goes_another_way(stage: Stage) -> None:
    mail = email(delay="PT1H", expires_in="PT1H", fallback=[call("expired")])
    stage.rules = ruleset(rule(category="marketing", actions=[mail], score={"value": 5}))
    await stage.does("cart", profile=ada())
    await stage.advance(3 * HOUR)
    await stage.fire()
    assert await stage.kinds() == []
    assert await stage.status(SENT) == "expired"
    assert await stage.kinds("call_centre") == ["task"]
