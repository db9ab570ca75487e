"""The gates in their order, the score, and who wins."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from services.orchestrator.domain.decide import Considered, decide
from services.orchestrator.domain.estimates import Propensity
from services.orchestrator.domain.gates import Situation
from services.orchestrator.domain.history import Contact, History, InFlight
from services.orchestrator.domain.record import decision_record, outcome
from services.orchestrator.domain.rule import Rule
from services.orchestrator.domain.score import score
from services.orchestrator.domain.trigger_index import RuleSet
from services.orchestrator.domain.update import Moment, read_moment, routed_decoder
from services.orchestrator.use_cases.naming import action_ids
from shared.contracts.times import rfc3339
from tests.unit.orchestrator.build import (
    NOON,
    action_id,
    email,
    policy,
    profile_json,
    rule,
    ruleset,
    touchpoint_json,
    uid,
    update_json,
)

ADA = uid("ada")
PASSED, SOON = rfc3339(NOON), rfc3339(NOON + timedelta(milliseconds=1))
MINUTE = timedelta(minutes=1)


def moment(profile: dict[str, Any] | None = None, **cause: Any) -> Moment:
    value = update_json(
        ADA, 1, touchpoint_json("cart", **cause), profile=profile or profile_json(ADA)
    )
    return read_moment(value, routed_decoder.decode(value), ADA, NOON)


def decided(
    rules: RuleSet, at_moment: Moment | None = None, history: History | None = None
) -> list[Considered]:
    seen = at_moment or moment()
    situation = Situation(seen, history or History(), NOON, action_ids(seen.cause.id or ""))
    return decide(rules.candidates(seen.facts), situation, rules)


def fate(one: Rule, *, history: History | None = None, **seen: Any) -> tuple[str, str]:
    """The stage and the reason of the only candidate."""
    (considered,) = decided(ruleset(one), moment(**seen), history)
    drop = considered.drop
    return ("chosen", "chosen") if drop is None else (drop.stage, drop.reason)


def flying(**fields: Any) -> InFlight:
    usual: dict[str, Any] = {
        "action_id": action_id("r", "before"),
        "rule": "r",
        "entry_key": "",
        "channel": "email",
        "category": "service",
        "topic": None,
        "sent_for": None,
        "occurred_at": NOON,
        "cause": b"{}",
        "gen": 0,
    }
    return InFlight(**usual | fields)


def test_a_plain_rule_is_chosen() -> None:
    assert fate(rule()) == ("chosen", "chosen")


def test_stale_events_trigger_nothing_unless_the_rule_says_so() -> None:
    late: dict[str, Any] = {"at": NOON - timedelta(hours=25), "received": NOON}
    assert fate(rule(), **late) == ("stale", "too_old")
    wide = {"type": "event", "event": "Cart Updated", "max_age": "P2D", "historical": True}
    assert fate(rule(trigger=wide), **late) == ("chosen", "chosen")
    assert fate(rule(), historical=True) == ("stale", "historical")
    assert fate(rule(trigger=wide), historical=True) == ("chosen", "chosen")
    just: dict[str, Any] = {"at": NOON - timedelta(hours=24), "received": NOON}
    assert fate(rule(), **just) == ("chosen", "chosen")


def test_re_entry() -> None:
    acted = History(acted={action_id("r", "cart")})
    assert fate(rule(), history=acted) == ("re_entry", "already_acted")
    entered = History(entries={("r", ""): NOON - MINUTE})
    assert fate(rule(re_entry={"mode": "never"}), history=entered)[1] == "already_entered"
    keyed = rule(re_entry={"mode": "never", "key": "event.cart"})
    assert fate(keyed, history=entered, properties={"cart": 7})[0] == "chosen"
    assert fate(rule(re_entry={"cooldown": "PT1H"}), history=entered)[1] == "in_cooldown"
    assert fate(rule(re_entry={"cooldown": "PT1M"}), history=entered)[0] == "chosen"
    busy = History(in_flight={action_id("r", "before"): flying()})
    assert fate(rule(re_entry={"mode": "after_exit"}), history=busy)[1] == "still_in_flight"
    assert fate(rule(), history=busy)[0] == "chosen"


def test_the_channel_needs_an_address_unless_it_is_offline() -> None:
    nobody = profile_json(ADA, identifiers=[], traits={})
    assert fate(rule(), profile=nobody) == ("channel", "no_address")
    by_trait = profile_json(ADA, identifiers=[], traits={"email": "t@b.c"})
    (one,) = decided(ruleset(rule()), moment(by_trait))
    assert one.planned[0].to is not None
    assert one.planned[0].to.value == "t@b.c"
    for channel in ("pos", "direct_mail", "web", "app"):
        assert fate(rule(actions=[email(channel=channel)]), profile=nobody)[0] == "chosen", channel
    assert fate(rule(actions=[email(channel="pigeon")])) == ("channel", "unknown_channel")


def consent(status: str, channel: str = "email", at: str = "1", purpose: str = "marketing") -> Any:
    return {"purpose": purpose, "channel": channel, "status": status, "at": at}


@pytest.mark.parametrize(
    ("category", "consents", "reason"),
    [
        ("marketing", [], "consent_missing"),
        ("marketing", [consent("granted")], "chosen"),
        ("marketing", [consent("granted", "sms")], "consent_missing"),
        ("marketing", [consent("granted", "*")], "chosen"),
        ("marketing", [consent("granted", "*"), consent("denied")], "consent_denied"),
        ("marketing", [consent("granted", at="1"), consent("denied", "*", "2")], "consent_denied"),
        ("marketing", [consent("granted", at="2"), consent("denied", "*", "1")], "consent_denied"),
        ("marketing", [consent("granted"), consent("denied", "*", purpose="*")], "consent_denied"),
        ("marketing", [consent("granted", "*"), consent("denied", purpose="*")], "consent_denied"),
        ("marketing", [consent("granted"), consent("denied", "sms", purpose="*")], "chosen"),
        ("marketing", [consent("granted"), consent("denied", purpose="*stop")], "consent_denied"),
        ("marketing", [consent("granted", "*", purpose="*")], "consent_missing"),
        ("marketing", [consent("pending")], "consent_pending"),
        ("marketing", [consent("granted", "*"), consent("pending")], "consent_pending"),
        ("marketing", [consent("expired")], "consent_expired"),
        ("marketing", [consent("granted") | {"expires_at": PASSED}], "consent_expired"),
        ("marketing", [consent("granted") | {"expires_at": SOON}], "chosen"),
        ("service", [consent("pending", purpose="service")], "chosen"),
        ("service", [consent("denied", "*", purpose="*")], "consent_denied"),
        ("marketing", [consent("granted"), consent("denied", purpose="promotions")],
         "consent_denied"),
        ("service", [], "chosen"),
        ("service", [consent("denied", purpose="service")], "consent_denied"),
        ("service", [consent("denied")], "chosen"),
        ("transactional", [consent("denied", purpose="transactional")], "chosen"),
        ("legal", [consent("denied", "*", purpose="legal")], "chosen"),
    ],
)  # fmt: skip
def test_consent(category: str, consents: list[Any], reason: str) -> None:
    seen = profile_json(ADA, consents=consents)
    assert fate(rule(category=category, topic="promotions"), profile=seen)[1] == reason


@pytest.mark.parametrize("stage", ["eligibility", "applicability", "suitability"])
def test_engagement_policy_names_the_clause_and_what_it_saw(stage: str) -> None:
    gold = {"attr": "profile.tier", "op": "eq", "value": "gold"}
    seen = profile_json(ADA, traits={"tier": "tin"})
    (one,) = decided(ruleset(rule(engagement_policy={stage: gold})), moment(seen))
    assert one.drop is not None
    assert (one.drop.stage, one.drop.expected, one.drop.actual) == (stage, "gold", "tin")
    assert "tier" in one.drop.condition


def test_an_earlier_gate_decides_before_a_later_one() -> None:
    never = {"attr": "profile.none", "op": "exists"}
    engagement = {"eligibility": never, "applicability": never, "suitability": never}
    one = rule(category="marketing", engagement_policy=engagement)
    nobody = profile_json(ADA, identifiers=[], consents=[])
    old: dict[str, Any] = {"at": NOON - timedelta(days=3), "received": NOON}
    acted = History(acted={action_id("r", "cart")})
    assert fate(one, profile=nobody, history=acted, **old)[0] == "stale"
    assert fate(one, profile=nobody, history=acted)[0] == "re_entry"
    assert fate(one, profile=nobody)[0] == "channel"
    assert fate(one, profile=profile_json(ADA, consents=[]))[0] == "consent"
    assert fate(one)[0] == "eligibility"


def contact(at: Any, **fields: Any) -> Contact:
    usual: dict[str, Any] = {
        "action_id": UUID(int=1), "at": at, "channel": "email", "category": "marketing",
        "topic": None, "group": None, "rule": "x",
    }  # fmt: skip
    return Contact(**usual | fields)


def test_caps_look_at_their_scope_and_spare_bypassed_categories() -> None:
    cap = {"scope": {"channel": "email"}, "limit": 1, "window": "P1D"}
    known = History(contacts=[contact(NOON - MINUTE)])

    def stage_of(category: str, *caps: dict[str, Any], **more: Any) -> str:
        rules = ruleset(rule(category=category), policies=[policy(*caps, **more)])
        (one,) = decided(rules, history=known)
        return "chosen" if one.drop is None else one.drop.stage

    assert stage_of("marketing", cap) == stage_of("service", cap) == "cap"
    assert stage_of("transactional", cap) == "chosen"
    assert stage_of("marketing", cap | {"scope": {"channel": "sms"}}) == "chosen"
    assert stage_of("marketing", cap | {"scope": {"rule": "r"}}) == "chosen"
    assert stage_of("marketing", cap | {"limit": 2}) == "chosen"
    known.contacts[0] = contact(NOON - MINUTE, category="legal")
    assert stage_of("marketing", cap) == "chosen"
    assert stage_of("marketing", cap, bypass={"counts_toward_caps": True}) == "cap"


@pytest.mark.parametrize(("counted", "wins"), [(True, ["bill"]), (False, ["bill", "offer"])])
def test_what_never_loses_is_planned_first_so_that_caps_see_it(
    counted: bool, wins: list[str]
) -> None:
    rules = ruleset(
        rule("offer", category="marketing", score={"value": 9}),
        rule("bill", category="transactional"),
        policies=[policy({"limit": 1, "window": "P1D"}, bypass={"counts_toward_caps": counted})],
    )
    considered = decided(rules)
    assert sorted(one.live.key for one in considered if one.planned) == wins
    assert [one.drop.stage for one in considered if one.drop is not None] == ["cap"] * counted


def test_a_cap_of_the_household_counts_everybody_of_it_once() -> None:
    cap = {"limit": 1, "window": "P1D", "per": "household"}
    rules = ruleset(rule(category="marketing"), policies=[policy(cap)])
    home = profile_json(ADA, household="h")
    theirs = contact(NOON - MINUTE, household="h")

    def stage_of(history: History, profile: dict[str, Any] = home) -> str:
        (one,) = decided(rules, moment(profile), history)
        return "chosen" if one.drop is None else one.drop.stage

    known = History(households={"h": {theirs.action_id: theirs}})
    assert stage_of(known) == "cap"
    assert stage_of(known, profile_json(ADA, household="other")) == "chosen"
    assert stage_of(known, profile_json(ADA)) == "chosen"
    known.reserve(theirs)
    assert known.kin("h") == []
    known.move(theirs.action_id, NOON - timedelta(days=2))
    assert stage_of(known) == "chosen"
    known.move(theirs.action_id, NOON)
    assert stage_of(known) == "cap"
    known.give_back(theirs.action_id)
    assert (known.contacts, known.households) == ([], {"h": {}})
    assert stage_of(known) == "chosen"
    each = ruleset(rule(category="marketing"), policies=[policy(cap | {"per": "profile"})])
    (one,) = decided(each, moment(home), History(households={"h": {theirs.action_id: theirs}}))
    assert one.drop is None


def test_the_floor_stops_marketing_that_is_worth_nothing() -> None:
    worthless: dict[str, Any] = {"score": {"value": 0}}
    assert fate(rule(category="marketing", **worthless)) == ("floor", "below_floor")
    assert fate(rule(category="service", **worthless)) == ("chosen", "chosen")


def test_score_is_p_c_v_l() -> None:
    half = Propensity(0.5, 10.0, 10.0, "stated")
    got = score(propensity=half, value=10.0, context_weights=[50.0], lever=20.0)
    assert (got.c, got.l) == (1.5, 1.2)
    assert got.total == pytest.approx(9.0)
    assert score(propensity=half, value=1, context_weights=[90.0, 90.0], lever=0).c == 2.0
    assert score(propensity=half, value=1, context_weights=[-40.0, -40.0], lever=0).c == 0.5


def winners(*rules: Rule, **more: Any) -> list[str]:
    return [one.live.key for one in decided(ruleset(*rules, **more)) if one.planned]


def test_the_best_score_wins_then_priority_value_and_key() -> None:
    assert winners(rule("a", score={"value": 1}), rule("b", score={"value": 2})) == ["b"]
    assert winners(rule("a"), rule("b", priority=1)) == ["b"]
    assert winners(
        rule("a", score={"value": 1, "propensity": 1}),
        rule("b", score={"value": 2, "propensity": 0.5}),
    ) == ["b"]
    assert winners(rule("b"), rule("a")) == ["a"]


def test_the_loser_says_to_whom_it_lost() -> None:
    best, second = decided(ruleset(rule("a", score={"value": 1}), rule("b", score={"value": 2})))
    assert best.live.key == "b"
    assert second.drop is not None
    assert (second.drop.stage, second.drop.reason) == ("arbitration", "lower_priority")
    assert (second.drop.expected, second.drop.actual) == (2.0, 1.0)


def test_more_than_one_may_act_when_the_policy_or_the_rule_says_so() -> None:
    three = [rule(key) for key in "abc"]
    assert winners(*three, policies=[policy(arbitration={"max_actions": 2})]) == ["a", "b"]
    allowed = rule("z", arbitration={"max_actions": 2})
    assert winners(rule("a"), rule("b"), allowed) == ["a", "z"]
    assert winners(rule("a"), rule("order", category="transactional")) == ["a", "order"]


def test_what_the_winner_plans_counts_for_the_next() -> None:
    two = policy({"limit": 1, "window": "P1D"}, arbitration={"max_actions": 2})
    first, second = decided(ruleset(rule("a"), rule("b"), policies=[two]))
    assert first.planned
    assert second.drop is not None
    assert second.drop.stage == "cap"


def test_a_rule_falls_only_when_all_of_its_actions_do() -> None:
    both = rule(actions=[email(channel="sms"), email(delay="PT1H")])
    (one,) = decided(ruleset(both))
    assert [action.index for action in one.planned] == [1]
    assert one.choices[0].dropped[0].reason == "no_address"
    assert one.planned[0].due_at == NOON + timedelta(hours=1)
    assert one.planned[0].expires_at == NOON + timedelta(hours=25)
    assert outcome([one], NOON) == "deferred"


def test_content_that_fails_lets_the_next_rule_win() -> None:
    bad = rule("a", actions=[email(content={"body": "{{ 1 | divided_by: 0 }}"})], priority=1)
    found = decided(ruleset(bad, rule("b")))
    assert [one.live.key for one in found if one.planned] == ["b"]
    assert {one.drop.reason for one in found if one.drop} == {"content_failed"}


def test_an_exit_that_happened_later_than_the_trigger_stands_against_it() -> None:
    one = rule(exit_criteria=[{"event": "Order Completed"}])
    rules = ruleset(one)
    criterion = rules.rules["r"].exit_events[0].criterion
    for mark, stage in (
        (NOON + MINUTE, "applicability"),
        (NOON, "chosen"),
        (NOON - MINUTE, "chosen"),
    ):
        (found,) = decided(rules, history=History(exits={criterion: mark}))
        assert ("chosen" if found.drop is None else found.drop.stage) == stage


def test_the_record_explains_every_candidate() -> None:
    rules = ruleset(rule("a", score={"value": 2}), rule("b"), rule("c", category="marketing"))
    seen = moment(profile_json(ADA, consents=[]))
    record = decision_record(
        decision_id=UUID(int=7), profile_id=ADA, profile_version=1, touchpoint_id=uid("cart"),
        at=NOON, considered=decided(rules, seen), retracts=[], ruleset=rules,
    )  # fmt: skip
    assert [(one.rule, one.stage, one.passed) for one in record.candidates] == [
        ("a", "chosen", True),
        ("b", "arbitration", False),
        ("c", "consent", False),
    ]
    assert record.outcome == "sent"
    assert record.action_ids == [str(action_id("a", "cart"))]
    assert record.versions["rule:a"] == 1
    assert "a was chosen: message on email now." in record.sentence
    assert "c was not: the person has not agreed" in record.sentence


def test_the_record_stays_small_with_very_many_candidates() -> None:
    rules = ruleset(*[rule(f"r{n:04}") for n in range(1_500)])
    found = decided(rules)
    record = decision_record(
        decision_id=UUID(int=7), profile_id=ADA, profile_version=1, touchpoint_id=None,
        at=NOON, considered=found, retracts=[], ruleset=rules,
    )  # fmt: skip
    assert len(record.candidates) == 1_000
    assert record.candidates[0].passed
    assert sum(one.detail is not None for one in record.candidates) < 100


def test_a_change_of_consents_triggers_a_rule_like_an_event() -> None:
    asks = rule(
        category="transactional",
        trigger={
            "type": "event",
            "event": "consent_changed",
            "where": {"attr": "event.pending", "op": "contains", "value": "news"},
        },
    )
    cause = {
        "kind": "consent_changed",
        "type": "consent_changed",
        "id": uid("change"),
        "at": rfc3339(NOON),
        "occurred_at": rfc3339(NOON),
        "received_at": rfc3339(NOON),
        "properties": {"channels": ["email"], "pending": ["news"]},
    }
    value = update_json(ADA, 1, cause, profile=profile_json(ADA))
    seen = read_moment(value, routed_decoder.decode(value), ADA, NOON)
    assert seen.cause.touchpoint is None
    (considered,) = decided(ruleset(asks), seen)
    assert considered.drop is None
    value = value.replace(b'"pending":', b'"granted":')
    assert not decided(ruleset(asks), read_moment(value, routed_decoder.decode(value), ADA, NOON))


@pytest.mark.parametrize(
    ("consents", "stage"),
    [
        ([consent("granted") | {"expires_at": SOON}], "chosen"),
        ([consent("granted") | {"expires_at": PASSED}], "eligibility"),
        ([consent("granted"), consent("denied", "*", purpose="*")], "eligibility"),
        ([consent("granted", "*")], "chosen"),
        ([consent("pending")], "eligibility"),
    ],
)
def test_conditions_go_by_consents_as_they_hold_at_the_instant(
    consents: list[Any], stage: str
) -> None:
    leaf = {"consent": {"purpose": "marketing", "channel": "email"}}
    asks = rule(category="transactional", engagement_policy={"eligibility": leaf})
    assert fate(asks, profile=profile_json(ADA, consents=consents))[0] == stage


def test_a_rendered_queue_is_no_longer_than_a_written_one() -> None:
    def call(queue: str) -> Rule:
        return rule(actions=[email(type="task", queue=queue)])

    (fits,) = decided(ruleset(call("{{ event.name }}")), moment(properties={"name": "q" * 200}))
    assert fits.planned[0].queue == "q" * 200
    (longer,) = decided(ruleset(call("{{ event.name }}")), moment(properties={"name": "q" * 201}))
    assert longer.drop is not None
    assert (longer.drop.stage, longer.drop.reason) == ("channel", "content_failed")
    assert longer.drop.actual == "the name of the queue has more than 200 characters"
