"""Rules that a change of a profile triggers, in real transactions."""

from datetime import timedelta
from typing import Any

from shared.contracts.times import rfc3339
from tests.integration.orchestrator.stage import Stage
from tests.unit.orchestrator.build import email, profile_json, rule, ruleset, uid

VIP = {"type": "segment_entered", "segment": "vip"}


async def told(stage: Stage, name: str, **fields: Any) -> dict[str, Any]:
    at = rfc3339(await stage.now())
    return {"kind": "segment_entered", "id": uid(name), "at": at, "segment": "vip", **fields}


async def test_entering_a_segment_acts_once_and_says_by_what(stage: Stage) -> None:
    stage.rules = ruleset(rule(trigger=VIP))
    cause = await told(stage, "in", touchpoint_id=uid("call"))
    await stage.respond(stage.record(uid("ada"), cause))
    await stage.respond(stage.record(uid("ada"), cause))
    (action,) = await stage.messages("actions.email")
    assert action.value["content"] == {"body": "Hi Ada"}
    decision = await stage.last_decision()
    assert decision["touchpoint_id"] == uid("call")
    assert decision["candidates"][0]["reason"] == "already_acted"
    await stage.respond(stage.record(uid("ada"), await told(stage, "again")))
    assert await stage.kinds() == ["send", "send"]


async def test_a_waiting_action_is_asked_again_with_the_change_that_asked_for_it(
    stage: Stage,
) -> None:
    policy = {"applicability": {"segment": "vip"}}
    where = {"attr": "event.segment", "op": "eq", "value": "vip"}
    later = rule(
        trigger={**VIP, "where": where}, actions=[email(delay="PT1H")], engagement_policy=policy
    )
    stage.rules = ruleset(later)
    member = profile_json(uid("ada"), segments=["vip"])
    await stage.respond(stage.record(uid("ada"), await told(stage, "in"), profile=member))
    await stage.advance(timedelta(hours=1, seconds=1))
    assert await stage.fire() == 1
    assert await stage.kinds() == ["send"]
    await stage.respond(stage.record(uid("bob"), await told(stage, "b"), profile=member))
    left = {**await told(stage, "out"), "kind": "segment_left"}
    await stage.respond(stage.record(uid("bob"), left))
    assert (await stage.last_decision())["retracts"]
    assert await stage.kinds() == ["send"]


async def test_a_trait_that_a_touchpoint_changed_triggers(stage: Stage) -> None:
    stage.rules = ruleset(rule(trigger={"type": "trait_changed", "trait": "tier"}))
    await stage.does("unchanged", "Tier Set")
    assert await stage.messages() == []
    now = await stage.now()
    await stage.respond(
        stage.record(
            uid("ada"),
            {"id": uid("s"), "type": "Tier Set", "occurred_at": rfc3339(now),
             "received_at": rfc3339(now)},
            changed={"tier": "silver"},
        )
    )  # fmt: skip
    assert await stage.kinds() == ["send"]
