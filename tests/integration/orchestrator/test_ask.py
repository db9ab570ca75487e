"""Asks for the next best action: one answer for a slot, on every channel, until it changes."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from services.orchestrator.storage import profile_states, propensity, slots
from services.orchestrator.use_cases.say_outcome import Saying, say_outcome
from shared.contracts.topics import Topics
from shared.postgres.audit import Who
from shared.postgres.transaction import transaction
from tests.integration.orchestrator.asking import MINUTE, ask, asked_rule, chosen, prompt
from tests.integration.orchestrator.stage import COUNTS, Stage
from tests.unit.orchestrator.build import GRANTED, policy, profile_json, ruleset, uid

HOUR = timedelta(hours=1)
TILL = Who("till", "till 7")
DENIED = [{"purpose": "marketing", "channel": "*", "status": "denied", "at": "2026-01-02"}]
BOUGHT: dict[str, Any] = {"exit_criteria": [{"event": "Order Completed"}]}


async def test_the_answer_is_the_delivery(stage: Stage) -> None:
    stage.rules = ruleset(asked_rule("offer", "kiosk"), asked_rule("worse", "kiosk", priority=-1))
    answer = await ask(stage)
    assert answer.action is not None
    assert (answer.action.rule, answer.action.channel) == ("offer", "kiosk")
    assert answer.action.content == {"text": "Ada on kiosk"}
    assert answer.reasons[0] == "chosen: offer is the best of 2 rules that may answer"
    assert answer.reasons[1].startswith("lower_priority: worse needs a better score than offer")
    (row,) = await stage.rows("SELECT * FROM action")
    assert (str(row.action_id), row.status, row.delivery) == (
        answer.action.action_id, "published", "delivered",
    )  # fmt: skip
    assert await stage.scalar("SELECT status FROM contact_ledger") == "made"
    assert await stage.messages("actions.kiosk") == []
    decision = await stage.last_decision()
    assert decision["id"] == answer.decision_id
    assert (decision["touchpoint_id"], decision["profile_version"]) == (None, 1)
    assert decision["action_ids"] == [answer.action.action_id]
    assert await stage.scalar("SELECT id FROM decision") == UUID(answer.decision_id)


async def test_another_channel_is_told_the_same_in_its_own_words(stage: Stage) -> None:
    stage.rules = ruleset(
        asked_rule("offer", "kiosk", "app"), policies=[policy({"limit": 1, "window": "P1D"})]
    )
    kiosk = await ask(stage, "kiosk")
    app = await ask(stage, "app")
    assert kiosk.action is not None
    assert app.action is not None
    assert app.action.action_id == kiosk.action.action_id
    assert app.action.content == {"text": "Ada on app"}
    assert (kiosk.kept, app.kept) == (False, True)
    assert app.decision_id == kiosk.decision_id
    assert (await ask(stage, "kiosk")).action == kiosk.action
    assert await stage.scalar("SELECT count(*) FROM contact_ledger") == 1
    other = await ask(stage, "kiosk", slot="other")
    assert chosen(other) is None
    assert any(reason.startswith("cap: ") for reason in other.reasons)


async def test_a_winner_of_another_channel_waits_for_it(stage: Stage) -> None:
    best = asked_rule("best", "app", "web", score={"value": 9})
    stage.rules = ruleset(best, asked_rule("here", "kiosk"))
    for _ in range(2):
        answer = await ask(stage, "kiosk")
        assert answer.action is None
        assert answer.reasons[0].startswith("other_channel: best was chosen and has no action on")
    assert await stage.scalar("SELECT count(*) FROM action") == 0
    assert (await stage.last_decision())["candidates"][0]["reason"] == "other_channel"
    stage.rules = ruleset(best, asked_rule("now-better", "web", score={"value": 99}))
    assert chosen(await ask(stage, "web")) == "best"
    assert chosen(await ask(stage, "app")) == "best"
    assert (await ask(stage, "kiosk")).action is None
    assert await stage.scalar("SELECT count(*) FROM action") == 1


async def test_it_lives_half_an_hour_or_as_long_as_its_action(stage: Stage) -> None:
    stage.rules = ruleset(asked_rule("offer", actions=[prompt("kiosk", expires_in="PT10M")]))
    first = await ask(stage)
    assert first.action is not None
    assert first.valid_until == first.action.expires_at
    await stage.advance(9 * MINUTE)
    assert (await ask(stage)).action == first.action
    await stage.advance(2 * MINUTE)
    later = await ask(stage)
    assert later.action is not None
    assert later.action.action_id != first.action.action_id
    stage.rules = ruleset(asked_rule("offer", "kiosk"))
    long = await ask(stage, slot="long")
    await stage.advance(29 * MINUTE)
    assert (await ask(stage, slot="long")).kept
    await stage.advance(2 * MINUTE)
    assert (await ask(stage, slot="long")).decision_id != long.decision_id


async def test_nothing_is_an_answer_too(stage: Stage) -> None:
    vip = {"attr": "profile.tier", "op": "eq", "value": "gold"}
    rules = [asked_rule("vip", "kiosk", engagement_policy={"eligibility": vip})]
    stage.rules = ruleset(*rules)
    first = await ask(stage)
    assert first.action is None
    assert first.reasons[0] == "nothing: no rule that may answer fits now"
    assert first.reasons[1] == 'not_eligible: vip needs the profile\'s tier is "gold"'
    assert (await ask(stage, "app")).decision_id == first.decision_id
    changed = await ask(stage, version=2)
    assert changed.decision_id != first.decision_id
    stage.rules = ruleset(*rules, asked_rule("new", "kiosk"), epoch=2)
    assert chosen(await ask(stage, version=2)) == "new"
    stage.rules = ruleset(*rules, epoch=3)
    empty = await ask(stage, slot="b")
    await stage.advance(2 * MINUTE)
    assert (await ask(stage, slot="b")).decision_id != empty.decision_id
    assert (await ask(stage, slot="c", who="bo", context={"a": 1})).reasons != []


async def test_a_kept_answer_is_asked_again_whether_it_still_holds(stage: Stage) -> None:
    gold = {"attr": "profile.tier", "op": "eq", "value": "gold"}
    marketing = asked_rule(
        "offer", "kiosk", "app", category="marketing", score={"value": 5},
        engagement_policy={"eligibility": gold},
    )  # fmt: skip
    fallback = asked_rule("plain", "kiosk", "app")
    stage.rules = ruleset(marketing, fallback)
    rich: dict[str, Any] = {"traits": {"tier": "gold"}}
    assert chosen(await ask(stage, **rich)) == "offer"
    assert chosen(await ask(stage, "app", **rich)) == "offer"
    assert chosen(await ask(stage, "app", consents=DENIED, **rich)) == "plain"
    assert chosen(await ask(stage, slot="s", **rich)) == "offer"
    assert chosen(await ask(stage, slot="s", traits={})) == "plain"
    assert chosen(await ask(stage, slot="t", **rich)) == "offer"
    stage.rules = ruleset(fallback)
    assert chosen(await ask(stage, slot="t", **rich)) == "plain"
    here = [{"purpose": "marketing", "channel": "kiosk", "status": "granted", "at": "2026-01-01"}]
    stage.rules = ruleset(marketing)
    assert chosen(await ask(stage, slot="u", consents=here, **rich)) == "offer"
    on_app = await ask(stage, "app", slot="u", consents=here, **rich)
    assert on_app.action is None
    assert on_app.reasons[0].startswith("consent_missing: offer was chosen, but needs consent")


async def test_a_kept_answer_asks_holdouts_again(stage: Stage) -> None:
    offer = asked_rule("offer", "kiosk", "app", category="marketing", score={"value": 5})
    stage.rules = ruleset(offer)
    assert chosen(await ask(stage)) == "offer"
    everybody = {"percent": 100, "salt": "s"}
    stage.rules = ruleset(offer, policies=[policy(holdout=everybody)])
    for channel in ("kiosk", "app"):
        answer = await ask(stage, channel)
        assert answer.action is None
        assert not any(reason.startswith("kept") for reason in answer.reasons)


async def test_what_a_stranger_did_with_it_is_heard(stage: Stage) -> None:
    stage.rules = ruleset(asked_rule("hello", "kiosk"))
    for name, outcome in (("a", "accepted"), ("b", "declined"), ("c", None)):
        answer = await ask(stage, who=None, identifier=name)
        assert answer.action is not None
        for _ in range(2 if outcome else 0):
            action, saying = UUID(answer.action.action_id), Saying(outcome or "")
            await say_outcome(
                stage.engine, action, saying, who=TILL, topics=Topics(), counts=COUNTS
            )
    said = await stage.rows("SELECT response FROM action ORDER BY response")
    assert [one.response for one in said] == ["accepted", "declined", None]
    assert await stage.scalar("SELECT count(*) FROM outcome") == 2
    assert await stage.scalar("SELECT count(*) FROM slot_answer") == 1
    for expected in ((2, 1), (3, 1)):
        counted = (await stage.rows("SELECT sum(shown), sum(taken) FROM propensity"))[0]
        assert tuple(counted) == expected
        await stage.advance(timedelta(days=30))
        async with transaction(stage.engine) as tx:
            await propensity.mature(tx, since=propensity.EVER, limit=10)


async def test_what_a_stranger_did_stays_with_who_becomes_known(stage: Stage) -> None:
    stage.rules = ruleset(asked_rule("hello", "kiosk", "app"))
    answer = await ask(stage, who=None)
    assert answer.action is not None
    action = UUID(answer.action.action_id)
    await say_outcome(
        stage.engine, action, Saying("opened"), who=TILL, topics=Topics(), counts=COUNTS
    )
    assert (await ask(stage, "app")).kept
    assert await stage.scalar("SELECT profile_id::text FROM outcome") == uid("ada")
    await say_outcome(
        stage.engine, action, Saying("accepted"), who=TILL, topics=Topics(), counts=COUNTS
    )
    assert await stage.scalar("SELECT response FROM action") == "opened", "comes round by itself"


@pytest.mark.parametrize("outcome", ["declined", "expired"])
async def test_an_answer_has_no_fallback(stage: Stage, outcome: str) -> None:
    """It is given where somebody asked, and nowhere else, whatever becomes of it."""
    sms = {"on": ["declined", "expired"], "channel": "app", "content": {"text": "Hi"}}
    stage.rules = ruleset(
        asked_rule("offer", actions=[prompt("kiosk", expires_in="PT10M", fallback=[sms])])
    )
    answer = await ask(stage)
    assert answer.action is not None
    if outcome == "declined":
        named = {"action_id": answer.action.action_id}
        await stage.does("no", "kiosk.declined", properties=named)
    await stage.advance(HOUR)
    await stage.fire()
    assert await stage.scalar("SELECT count(*) FROM action") == 1
    assert await stage.scalar("SELECT in_flight FROM profile_state") == 0


async def test_the_rows_of_a_person_are_locked_in_one_order(stage: Stage) -> None:
    """Whoever asks by a profile that was merged away waits behind who locks both in order."""
    winner, loser = sorted((uid("ada"), uid("bo")))
    stage.rules = ruleset(asked_rule("offer", "kiosk"))
    merged = stage.record(winner, {"kind": "merged"}, profile=profile_json(winner),
                          merged_from=loser, link_seq=1)  # fmt: skip
    await stage.respond(merged)
    late = {uid("ada"): "ada", uid("bo"): "bo"}[loser]
    async with transaction(stage.engine) as tx:
        await profile_states.lock(tx, [winner])
        asking = asyncio.create_task(ask(stage, who=late))
        await asyncio.sleep(0.5)
        await profile_states.lock(tx, [loser])
    assert chosen(await asyncio.wait_for(asking, 10)) == "offer"


async def test_a_later_touchpoint_ends_it_and_takes_it_back(stage: Stage) -> None:
    stage.rules = ruleset(asked_rule("offer", "kiosk", **BOUGHT))
    answer = await ask(stage)
    assert answer.action is not None
    assert await stage.scalar("SELECT in_flight FROM profile_state") == 1
    await stage.does("bought", "Order Completed")
    (retract,) = await stage.messages("actions.kiosk")
    assert (retract.value["kind"], retract.value["action_id"]) == (
        "retract", answer.action.action_id,
    )  # fmt: skip
    assert await stage.scalar("SELECT count(*) FROM slot_answer") == 0
    again = await ask(stage)
    assert again.action is not None
    assert again.action.action_id != answer.action.action_id


async def test_an_action_that_had_an_outcome_leaves_its_slot(stage: Stage) -> None:
    stage.rules = ruleset(asked_rule("offer", "kiosk"))
    first = await ask(stage)
    assert first.action is not None
    async with transaction(stage.engine) as tx:
        await slots.forget_actions(tx, [UUID(first.action.action_id)])
    assert (await ask(stage)).decision_id != first.decision_id
    async with transaction(stage.engine) as tx:
        await slots.forget(tx, [uid("ada")])
    assert await stage.scalar("SELECT count(*) FROM slot_answer") == 0


async def test_all_who_ask_at_once_get_one_answer(stage: Stage) -> None:
    stage.rules = ruleset(asked_rule("offer", "kiosk", "app", "web", "pos"))
    channels = ["kiosk", "app", "web", "pos"] * 4
    answers = await asyncio.gather(*(ask(stage, channel) for channel in channels))
    assert len({one.action.action_id for one in answers if one.action is not None}) == 1
    assert all(one.action is not None for one in answers)
    assert sum(not one.kept for one in answers) == 1
    nobody = await asyncio.gather(*(ask(stage, channel, who=None) for channel in channels))
    assert len({one.decision_id for one in nobody}) == 1
    assert await stage.scalar("SELECT count(*) FROM action") == 2


async def test_rules_see_the_channel_the_slot_and_the_context(stage: Stage) -> None:
    stage.rules = ruleset(
        asked_rule("at-till", "kiosk", where={"attr": "event.channel", "op": "eq", "value": "pos"}),
        asked_rule("hero", "kiosk", where={"attr": "event.slot", "op": "eq", "value": "hero"}),
        asked_rule(
            "leaving", "kiosk", where={"attr": "context.intent", "op": "eq", "value": "cancel"}
        ),
    )
    assert chosen(await ask(stage)) is None
    assert chosen(await ask(stage, slot="hero")) == "hero"
    assert chosen(await ask(stage, slot="b", context={"intent": "cancel"})) == "leaving"
    answer = await ask(stage, "pos", slot="c")
    assert answer.reasons[0].startswith("other_channel: at-till")


async def test_somebody_unknown_is_answered_and_nothing_is_known_of_them(stage: Stage) -> None:
    stage.rules = ruleset(
        asked_rule("ad", "kiosk", category="marketing", score={"value": 50}),
        asked_rule("hello", "kiosk", "app", actions=[prompt("kiosk"), prompt("app")]),
    )
    answer = await ask(stage, who=None, identifier="card-77")
    assert (chosen(answer), answer.person) == ("hello", "unknown")
    assert answer.reasons[0].startswith("unknown_profile: ")
    assert (await ask(stage, "app", who=None, identifier="card-77")).action is not None
    assert chosen(await ask(stage, who=None, identifier="card-78")) == "hello"
    assert await stage.scalar("SELECT count(*) FROM action") == 2
    assert await stage.scalar("SELECT count(*) FROM profile_state") == 0
    assert await stage.scalar("SELECT count(*) FROM timer") == 0
    for table in ("action", "decision", "slot_answer", "contact_ledger", "outbox"):
        found = await stage.rows(f"SELECT row_to_json(t)::text AS row FROM {table} t")
        assert not any("card-77" in one.row for one in found), table
    people = await stage.rows("SELECT DISTINCT profile_id FROM action")
    assert len(people) == 2


async def test_who_becomes_known_is_not_told_twice(stage: Stage) -> None:
    stage.rules = ruleset(
        asked_rule("hello", "kiosk", "app", re_entry={"mode": "never"}),
        policies=[policy({"limit": 1, "window": "P1D"})],
    )
    stranger = await ask(stage, who=None)
    known = await ask(stage, "app", who="ada")
    assert stranger.action is not None
    assert known.action is not None
    assert known.action.action_id == stranger.action.action_id
    assert await stage.scalar("SELECT profile_id::text FROM contact_ledger") == uid("ada")
    assert await stage.scalar("SELECT profile_id::text FROM rule_entry") == uid("ada")
    other = await ask(stage, slot="other")
    assert other.action is None
    await stage.advance(HOUR)
    assert (await ask(stage)).action is None


@pytest.mark.parametrize("first", ["ada", "bo"])
async def test_a_merge_keeps_one_answer(stage: Stage, first: str) -> None:
    """The smaller id wins; whoever of both was answered keeps the answer."""
    winner, loser = sorted((uid("ada"), uid("bo")))
    stage.rules = ruleset(
        asked_rule("offer", "kiosk", "app"), policies=[policy({"limit": 1, "window": "P1D"})]
    )
    before = await ask(stage, who=first)
    names = {uid("ada"): "ada", uid("bo"): "bo"}
    cause = {"kind": "merged"}
    await stage.respond(stage.record(winner, cause, profile=profile_json(winner),
                                     merged_from=loser, link_seq=1))  # fmt: skip
    after = await ask(stage, "app", who=names[winner])
    assert before.action is not None
    assert after.action is not None
    assert after.action.action_id == before.action.action_id
    late = await ask(stage, "app", who=names[loser])
    assert late.action is not None
    assert late.action.action_id == before.action.action_id
    assert await stage.scalar("SELECT count(*) FROM slot_answer") == 1
    back = {"kind": "split"}
    await stage.respond(stage.record(winner, back, profile=profile_json(winner),
                                     split_into=loser, link_seq=2))  # fmt: skip
    kept = await stage.scalar("SELECT profile_id::text FROM slot_answer")
    assert kept == uid(first)


async def test_of_an_erased_person_nothing_is_left(stage: Stage) -> None:
    stage.rules = ruleset(asked_rule("offer", "kiosk"))
    await ask(stage)
    await stage.respond(stage.record(uid("ada"), {"kind": "erased"}, profile={}))
    for table in ("slot_answer", "action", "decision"):
        assert await stage.scalar(f"SELECT count(*) FROM {table}") == 0, table
    late = await ask(stage, consents=GRANTED)
    assert late.action is not None
    assert late.action.content == {"text": " on kiosk"}
    assert late.person == "unknown"
    assert str(await stage.scalar("SELECT profile_id FROM action")) != uid("ada")


async def test_expired_answers_are_dropped(stage: Stage) -> None:
    stage.rules = ruleset(asked_rule("offer", "kiosk"))
    await ask(stage)
    await ask(stage, who=None)
    await stage.advance(HOUR)
    await ask(stage, slot="fresh")
    async with transaction(stage.engine) as tx:
        assert await slots.drop_expired(tx, 1) == 1
        assert await slots.drop_expired(tx, 10) == 1
    assert await stage.scalar("SELECT slot FROM slot_answer") == "fresh"
