"""The worker's handler: decisions, delays, retractions and merges in real transactions."""

from datetime import timedelta
from typing import Any

import pytest

from shared.contracts.times import rfc3339
from shared.errors import PartitionStopped
from shared.kafka.records import Place, Record
from tests.integration.orchestrator.stage import TOPIC, Stage
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
SECOND = timedelta(seconds=1)
DELAYED: dict[str, Any] = {"actions": [email(delay="PT1H")]}
BOUGHT: dict[str, Any] = {"exit_criteria": [{"event": "Order Completed"}]}


async def test_publishes_an_action_with_its_decision(stage: Stage) -> None:
    stage.rules = ruleset(rule())
    await stage.does("cart", properties={"total": 60})
    (action,) = await stage.messages("actions.email")
    (decision,) = await stage.messages("decisions")
    assert action.key == decision.key == uid("ada")
    assert action.value["action_id"] == str(action_id("r", "cart"))
    assert action.value["content"] == {"body": "Hi Ada"}
    assert action.value["to"] == {"type": "email", "value": "ada@b.c"}
    assert decision.value["action_ids"] == [action.value["action_id"]]
    assert decision.value["outcome"] == "sent"
    assert decision.value["touchpoint_id"] == uid("cart")
    assert await stage.status(action_id("r", "cart")) == "published"
    assert await stage.scalar("SELECT in_flight FROM profile_state") == 0


async def test_an_event_without_a_rule_only_moves_the_profile(stage: Stage) -> None:
    stage.rules = ruleset(rule())
    await stage.respond(*[await stage.happened(f"p{n}", "Page Viewed") for n in range(3)])
    assert await stage.messages() == []
    (row,) = await stage.rows("SELECT * FROM profile_state")
    assert (row.last_seq, row.in_flight, row.snapshot) == (3, 0, None)
    assert await stage.scalar("SELECT count(*) FROM decision") == 0


async def test_an_update_seen_before_is_dropped_and_counted(stage: Stage) -> None:
    stage.rules = ruleset(rule())
    first, second = await stage.happened("a"), await stage.happened("b")
    await stage.respond(first)
    handled = await stage.respond(first, second, second)
    assert handled.deduped[Place(TOPIC, 0)] == 2
    assert len(await stage.kinds()) == 2
    assert await stage.scalar("SELECT last_seq FROM profile_state") == 2


async def test_the_same_touchpoint_again_under_another_number_acts_once(stage: Stage) -> None:
    stage.rules = ruleset(rule())
    await stage.does("cart")
    await stage.does("cart")
    assert await stage.kinds() == ["send"]
    (candidate,) = (await stage.last_decision())["candidates"]
    assert (candidate["stage"], candidate["reason"]) == ("re_entry", "already_acted")


async def test_a_missing_update_is_reported_and_does_not_stop_the_rest(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    stage.rules = ruleset(rule())
    await stage.does("a")
    stage.seqs[uid("ada")] = 4
    await stage.does("b")
    assert len(await stage.kinds()) == 2
    assert "3 updates are missing before 5" in caplog.text


@pytest.mark.parametrize("value", [None, b"", b"{", b'{"seq":1}', b'{"profile_id":"x","seq":"1"}'])
async def test_what_is_no_update_stops_the_partition(stage: Stage, value: bytes | None) -> None:
    with pytest.raises(PartitionStopped):
        await stage.respond(Record(TOPIC, 3, 0, 0, b"k", value, ()))


async def test_a_delayed_action_is_published_when_due(stage: Stage) -> None:
    stage.rules = ruleset(rule(**DELAYED))
    await stage.does("cart")
    assert await stage.kinds() == []
    assert (await stage.last_decision())["outcome"] == "deferred"
    assert await stage.fire() == 0
    await stage.advance(HOUR)
    assert await stage.fire() == 1
    assert await stage.kinds() == ["send"]
    assert await stage.status(action_id("r", "cart")) == "published"
    assert await stage.scalar("SELECT status FROM contact_ledger") == "made"
    (row,) = await stage.rows("SELECT * FROM profile_state")
    assert (row.in_flight, row.snapshot) == (0, None)
    assert await stage.fire() == 0


@pytest.mark.parametrize("together", [True, False])
async def test_bought_at_the_till_takes_the_reminder_back(stage: Stage, together: bool) -> None:
    stage.rules = ruleset(rule(**DELAYED, **BOUGHT))
    cart = await stage.happened("cart", ago=timedelta(minutes=40))
    bought = await stage.happened("till", "Order Completed", channel="pos")
    for batch in [[cart, bought]] if together else [[cart], [bought]]:
        await stage.respond(*batch)
    decision = await stage.last_decision()
    assert decision["retracts"] == [
        {
            "action_id": str(action_id("r", "cart")),
            "reason": "exit: Order Completed on pos",
            "channel": "email",
            "reached": "pending",
        }
    ]
    await stage.advance(2 * HOUR)
    await stage.fire()
    assert await stage.kinds() == []
    assert await stage.scalar("SELECT status FROM contact_ledger") == "released"
    assert await stage.scalar("SELECT in_flight FROM profile_state") == 0


async def test_a_published_action_with_exit_criteria_is_retracted_on_its_channel(
    stage: Stage,
) -> None:
    stage.rules = ruleset(rule(**BOUGHT))
    await stage.does("cart", ago=timedelta(minutes=1))
    await stage.does("till", "Order Completed")
    send, retract = await stage.messages("actions.email")
    assert retract.value["kind"] == "retract"
    assert retract.value["action_id"] == send.value["action_id"]
    assert retract.value["idempotency_key"] != send.value["idempotency_key"]
    assert retract.value["reason"] == "exit: Order Completed on web"


async def test_after_it_expired_a_published_action_is_left_alone(stage: Stage) -> None:
    stage.rules = ruleset(rule(actions=[email(expires_in="PT1H")], **BOUGHT))
    await stage.does("cart", ago=timedelta(minutes=1))
    await stage.advance(2 * HOUR)
    assert await stage.fire() == 1
    await stage.does("till", "Order Completed")
    assert await stage.kinds() == ["send"]
    assert await stage.status(action_id("r", "cart")) == "done"
    assert await stage.scalar("SELECT status FROM contact_ledger") == "made"


@pytest.mark.parametrize("together", [True, False])
async def test_a_cart_that_arrives_after_its_purchase_sends_nothing(
    stage: Stage, together: bool
) -> None:
    stage.rules = ruleset(rule(**BOUGHT))
    bought = await stage.happened("till", "Order Completed", ago=timedelta(minutes=5))
    cart = await stage.happened("cart", ago=timedelta(minutes=40))
    for batch in [[bought, cart]] if together else [[bought], [cart]]:
        await stage.respond(*batch)
    assert await stage.kinds() == []
    (candidate,) = (await stage.last_decision())["candidates"]
    assert (candidate["stage"], candidate["reason"]) == ("applicability", "exit_met")


async def test_consent_withdrawn_takes_a_waiting_action_back(stage: Stage) -> None:
    stage.rules = ruleset(rule(category="marketing", **DELAYED))
    await stage.does("cart")
    no = [{"purpose": "marketing", "channel": "email", "status": "denied", "at": "2026-11-21"}]
    cause = {"kind": "consent_changed", "id": uid("no")}
    profile = profile_json(uid("ada"), consents=no)
    await stage.respond(stage.record(uid("ada"), cause, profile=profile))
    decision = await stage.last_decision()
    assert decision["touchpoint_id"] is None
    assert decision["retracts"][0]["reason"].startswith("consent_denied")
    assert await stage.status(action_id("r", "cart")) == "retracted"


async def test_a_grant_that_ends_while_an_action_waits_takes_it_back_when_it_is_due(
    stage: Stage,
) -> None:
    stage.rules = ruleset(rule(category="marketing", **DELAYED))
    until = rfc3339(await stage.now() + HOUR)
    grant = {"purpose": "marketing", "channel": "email", "status": "granted", "expires_at": until}
    await stage.does("cart", profile=profile_json(uid("ada"), consents=[grant]))
    assert (await stage.last_decision())["outcome"] == "deferred"
    await stage.advance(HOUR)
    await stage.fire()
    assert await stage.kinds() == []
    decision = await stage.last_decision()
    assert decision["retracts"][0]["reason"].startswith("consent_expired")


async def test_a_change_of_consents_triggers_a_rule_and_is_no_touchpoint(stage: Stage) -> None:
    trigger = {
        "type": "event",
        "event": "consent_changed",
        "where": {"attr": "event.pending", "op": "contains", "value": "news"},
    }
    stage.rules = ruleset(rule(category="transactional", trigger=trigger))
    now = rfc3339(await stage.now())
    cause = {
        "kind": "consent_changed",
        "type": "consent_changed",
        "id": uid("asked"),
        "occurred_at": now,
        "received_at": now,
        "properties": {"channels": ["email"], "pending": ["news"]},
    }
    await stage.respond(stage.record(uid("ada"), cause, profile=profile_json(uid("ada"))))
    assert await stage.kinds() == ["send"]
    assert (await stage.last_decision())["touchpoint_id"] is None


async def test_without_exit_criteria_the_engagement_policy_ends_a_waiting_action(
    stage: Stage,
) -> None:
    gold = {"attr": "profile.tier", "op": "eq", "value": "gold"}
    over_50 = {"attr": "event.total", "op": "gte", "value": 50}
    both = {"eligibility": {"all": [gold, over_50]}}
    stage.rules = ruleset(rule(engagement_policy=both, **DELAYED))
    member = profile_json(uid("ada"), traits={"tier": "gold"})
    await stage.does("cart", properties={"total": 60}, profile=member)
    await stage.does("page", "Page Viewed", profile=member)
    assert await stage.status(action_id("r", "cart")) == "pending"
    await stage.does("left", "Page Viewed", profile=profile_json(uid("ada"), traits={}))
    assert await stage.status(action_id("r", "cart")) == "retracted"


async def test_a_rule_that_is_gone_when_due_takes_its_action_back(stage: Stage) -> None:
    stage.rules = ruleset(rule(**DELAYED))
    await stage.does("cart")
    stage.rules = ruleset()
    await stage.advance(2 * HOUR)
    assert await stage.fire() == 1
    assert await stage.kinds() == []
    assert (await stage.last_decision())["retracts"][0]["reason"] == "rule_not_live"


async def test_an_action_that_is_due_too_late_expires(stage: Stage) -> None:
    stage.rules = ruleset(rule(actions=[email(delay="PT1H", expires_in="PT2H")]))
    await stage.does("cart")
    await stage.advance(4 * HOUR)
    await stage.fire()
    assert await stage.kinds() == []
    assert await stage.status(action_id("r", "cart")) == "expired"
    assert await stage.scalar("SELECT status FROM contact_ledger") == "released"


async def test_the_cap_counts_what_is_planned_and_frees_what_was_taken_back(stage: Stage) -> None:
    one_a_day = policy({"scope": {"channel": "email"}, "limit": 1, "window": "P1D"})
    stage.rules = ruleset(rule(**DELAYED, **BOUGHT), policies=[one_a_day])
    await stage.does("cart1", ago=timedelta(minutes=3))
    await stage.does("cart2", ago=timedelta(minutes=2))
    (candidate,) = (await stage.last_decision())["candidates"]
    assert (candidate["stage"], candidate["detail"]["actual"]) == ("cap", 2)
    await stage.does("till", "Order Completed", ago=timedelta(minutes=1))
    await stage.does("cart3")
    assert await stage.status(action_id("r", "cart3")) == "pending"


async def test_a_cap_holds_within_one_batch(stage: Stage) -> None:
    two = policy({"scope": {}, "limit": 2, "window": "P1D"})
    stage.rules = ruleset(rule(), policies=[two])
    await stage.respond(*[await stage.happened(f"c{n}") for n in range(5)])
    assert len(await stage.kinds()) == 2


async def test_re_entry_is_remembered(stage: Stage) -> None:
    stage.rules = ruleset(rule(re_entry={"mode": "never", "key": "event.cart"}))
    await stage.does("a", properties={"cart": 1})
    await stage.does("b", properties={"cart": 2})
    await stage.does("c", properties={"cart": 1})
    assert len(await stage.kinds()) == 2
    (candidate,) = (await stage.last_decision())["candidates"]
    assert candidate["reason"] == "already_entered"
    assert {row.count for row in await stage.rows("SELECT count FROM rule_entry")} == {1}


async def test_what_went_in_flight_in_a_batch_is_watched_in_the_rest_of_it(stage: Stage) -> None:
    gold = {"eligibility": {"attr": "profile.tier", "op": "eq", "value": "gold"}}
    stage.rules = ruleset(rule(engagement_policy=gold, **DELAYED))
    member = profile_json(uid("ada"), traits={"tier": "gold"})
    cart = await stage.happened("cart", profile=member)
    left = await stage.happened("page", "Page Viewed", profile=profile_json(uid("ada"), traits={}))
    await stage.respond(cart, left)
    assert await stage.status(action_id("r", "cart")) == "retracted"


async def test_at_its_instant_an_action_is_checked_against_todays_policy_and_caps(
    stage: Stage,
) -> None:
    gold = {"eligibility": {"attr": "profile.tier", "op": "eq", "value": "gold"}}
    stage.rules = ruleset(rule("a", **DELAYED), rule("b", "Other", **DELAYED))
    await stage.does("cart")
    await stage.does("other", "Other")
    one_a_day = policy({"limit": 1, "window": "P1D"})
    stage.rules = ruleset(
        rule("a", engagement_policy=gold, **DELAYED),
        rule("b", "Other", **DELAYED),
        policies=[one_a_day],
    )
    await stage.advance(HOUR)
    assert await stage.fire(limit=1) == 1
    decision = await stage.last_decision()
    assert decision["retracts"][0]["reason"].startswith("not_eligible")
    assert await stage.fire() == 1
    assert await stage.status(action_id("b", "other")) == "published"


async def test_a_policy_that_became_stricter_takes_the_second_of_two_back(stage: Stage) -> None:
    stage.rules = ruleset(rule("a", **DELAYED), rule("b", "Other", **DELAYED))
    await stage.does("cart")
    await stage.does("other", "Other")
    stage.rules = ruleset(
        *(live.rule for live in stage.rules.rules.values()),
        policies=[policy({"limit": 1, "window": "P1D"})],
    )
    await stage.advance(HOUR)
    assert await stage.fire() == 2
    assert await stage.kinds() == ["send"]
    assert (await stage.last_decision())["retracts"][0]["reason"].startswith("cap")


async def test_the_address_is_the_one_known_when_it_is_due(stage: Stage) -> None:
    stage.rules = ruleset(rule(**DELAYED))
    await stage.does("cart")
    moved = profile_json(uid("ada"), identifiers=[{"type": "email", "value": "new@b.c"}])
    await stage.does("page", "Page Viewed", profile=moved)
    await stage.advance(HOUR)
    await stage.fire()
    (sent,) = await stage.messages("actions.email")
    assert sent.value["to"]["value"] == "new@b.c"


async def test_a_rule_acts_only_while_it_is_valid(stage: Stage) -> None:
    stage.rules = ruleset(
        rule(valid={"from": "2000-01-01T00:00:00Z", "to": "2001-01-01T00:00:00Z"})
    )
    await stage.does("cart")
    assert await stage.messages() == []


async def test_batches_of_any_size_decide_the_same(stage: Stage) -> None:
    rules = [
        rule("now", re_entry={"cooldown": "PT1H"}),
        rule("later", "Search", **DELAYED, **BOUGHT),
        rule("watched", "Page Viewed", priority=1, **BOUGHT),
    ]
    stage.rules = ruleset(*rules, policies=[policy({"limit": 4, "window": "P1D"})])
    events = ["Cart Updated", "Search", "Page Viewed", "Order Completed"]
    records = [
        await stage.happened(f"e{n}", events[n * 7 % 4], who=f"p{n % 5}", ago=HOUR - n * SECOND)
        for n in range(60)
    ]
    outcomes = []
    for size in (1, 7, 60):
        await stage.empty()
        for start in range(0, len(records), size):
            await stage.respond(*records[start : start + size])
        decisions = [one.value for one in await stage.messages("decisions")]
        outcomes.append(
            sorted(
                (one["id"], one["outcome"], str(one["retracts"]), str(sorted(one["action_ids"])))
                for one in decisions
            )
        )
    assert outcomes[0] == outcomes[1] == outcomes[2]
    assert len(outcomes[0]) > 30


async def test_a_batch_that_was_rolled_back_is_answered_the_same_again(stage: Stage) -> None:
    stage.rules = ruleset(rule(**DELAYED, **BOUGHT), rule("now", "Search"))
    batch = [await stage.happened("a"), await stage.happened("b", "Search")]
    with pytest.raises(RuntimeError, match="rolled back"):
        await stage.respond(*batch, then=RuntimeError("rolled back"))
    assert await stage.scalar("SELECT count(*) FROM profile_state") == 0
    await stage.respond(*batch)
    assert await stage.kinds() == ["send"]
    assert await stage.scalar("SELECT count(*) FROM timer") == 1
