"""What a candidate is worth: what it takes, what it gains the customer, and what is learned."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from services.orchestrator.domain.decide import Considered
from services.orchestrator.domain.estimates import STRENGTH, Estimates, totals_of, verdict
from services.orchestrator.domain.history import History
from services.orchestrator.domain.record import decision_record
from services.orchestrator.domain.resource import Resource, parse_resource
from services.orchestrator.domain.rule import Rule
from services.orchestrator.domain.trigger_index import RuleSet
from shared.errors import Unprocessable
from tests.unit.orchestrator.build import NOON, policy, profile_json, rule
from tests.unit.orchestrator.situations import ADA, decided

MIDNIGHT = NOON.replace(hour=0)
CALLS = parse_resource({"limit": 10, "per": "P1D", "unit": "call minute"}, key="calls", version=1)


def worth(key: str, value: float, **fields: Any) -> Rule:
    own = {name: fields.pop(name) for name in ("costs", "customer") if name in fields}
    return replace(rule(key, category="marketing", score={"value": value}, **fields), **own)


def rules_of(*rules: Rule, prices: dict[str, float] | None = None, **more: Any) -> RuleSet:
    made = RuleSet(epoch=1, rules=rules, resources=[CALLS], **more)
    return made.learned(Estimates(prices or {}))


def sentence(found: list[Considered], rules: RuleSet) -> str:
    return decision_record(
        decision_id=UUID(int=1), profile_id=ADA, profile_version=1, touchpoint_id=None,
        at=NOON, considered=found, retracts=[], ruleset=rules,
    ).sentence  # fmt: skip


def test_what_is_scarce_has_its_price_and_the_sentence_says_it() -> None:
    rules = rules_of(worth("call", 9.1, costs={"calls": 1}), prices={"calls": 12.57})
    found = decided(rules)
    (one,) = found
    assert one.drop is not None
    assert (one.drop.stage, one.drop.reason) == ("floor", "below_price")
    assert one.score is not None
    assert one.score.cost == 12.57
    assert one.score.total == pytest.approx(-3.47)
    assert sentence(found, rules) == (
        "call was not: one call minute is worth 12.57 now, and its gain is 9.10."
    )


def test_a_price_sends_what_is_scarce_to_where_it_is_worth_most() -> None:
    two = (worth("call", 20, costs={"calls": 2}), worth("mail", 8))
    assert [one.live.key for one in decided(rules_of(*two)) if one.planned] == ["call"]
    rules = rules_of(*two, prices={"calls": 7.0})
    best, other = decided(rules)
    assert (best.live.key, bool(best.planned)) == ("mail", True)
    assert other.drop is not None
    assert other.drop.reason == "lower_priority"


def test_what_is_used_up_is_no_choice_within_one_decision_either() -> None:
    many = policy(arbitration={"max_actions": 3})
    three = [worth(key, value, costs={"calls": 4}) for key, value in (("a", 3), ("b", 2), ("c", 1))]
    found = decided(rules_of(*three, policies=[many]))
    assert [(one.live.key, one.drop and one.drop.reason) for one in found] == [
        ("a", None), ("b", None), ("c", "no_capacity"),
    ]  # fmt: skip
    full = History(used={("calls", MIDNIGHT): 8.0})
    (one,) = decided(rules_of(three[0]), full)
    assert one.drop is not None
    assert (one.drop.stage, one.drop.expected, one.drop.actual) == ("capacity", 4, 2.0)
    (exact,) = decided(rules_of(three[0]), History(used={("calls", MIDNIGHT): 6.0}))
    assert [use.amount for use in exact.planned[0].uses] == [4]
    gone = rules_of(worth("a", 1, costs={"tills": 1}))
    assert decided(gone)[0].drop.reason == "unknown_resource"  # type: ignore[union-attr]


def test_the_customers_gain_is_a_stated_part_of_the_total() -> None:
    (one,) = decided(rules_of(worth("a", 10, customer=5.0)))
    assert one.score is not None
    assert one.score.total == pytest.approx(0.8 * 10 + 0.2 * 5)
    half = policy(arbitration={"customer_weight": 0.5})
    (one,) = decided(rules_of(worth("a", 10, customer=5.0), policies=[half]))
    assert one.score is not None
    assert (one.score.total, one.score.customer_weight) == (7.5, 0.5)


def test_marketing_never_harms_the_customer_however_much_it_gains() -> None:
    (one,) = decided(rules_of(worth("a", 1e6, customer=-0.01)))
    assert one.drop is not None
    assert (one.drop.stage, one.drop.reason) == ("floor", "customer_floor")
    recall = replace(rule("b", category="service", score={"value": 1}), customer=-1.0)
    assert decided(rules_of(recall))[0].planned


def learned(counts: dict[tuple[str, str], tuple[int, int]], stated: float, place: str) -> Any:
    by_rule = {"r": counts}
    return Estimates({}, by_rule, totals_of(by_rule)).propensity("r", "email", place, stated)


def test_the_propensity_shrinks_to_the_rule_and_that_to_what_was_stated() -> None:
    assert Estimates().propensity("r", "email", "", 0.1).p == 0.1
    unseen = learned({("push", ""): (180, 90)}, 0.1, "vip")
    assert unseen.source == "learned"
    assert unseen.p == pytest.approx((STRENGTH * 0.1 + 90) / (STRENGTH + 180))
    seen = learned({("email", "vip"): (10_000, 3_000)}, 0.1, "vip")
    assert seen.p == pytest.approx(0.3, abs=0.005)
    assert seen.p == seen.alpha / (seen.alpha + seen.beta)
    few = learned({("email", "vip"): (1, 1), ("email", ""): (999, 99)}, 0.1, "vip")
    assert 0.1 < few.p < 0.2


def test_a_rule_without_propensity_keeps_it_at_one() -> None:
    assert learned({("email", ""): (100, 1)}, 1.0, "").p == 1.0


def test_a_decision_says_where_its_propensity_comes_from() -> None:
    one = rule("r", category="marketing", score={"value": 10, "propensity": 0.1})
    counts = {"r": {("email", "vip"): (100, 40)}}
    rules = rules_of(one).learned(Estimates({}, counts, totals_of(counts)))
    vip = profile_json(ADA, persona={"key": "vip"})
    (found,) = decided(rules, profile=vip)
    assert found.score is not None
    assert found.score.propensity is not None
    assert found.score.propensity.source == "learned"
    assert found.score.probability == 1.0
    assert found.score.p > 0.3
    (other,) = decided(rules_of(one))
    assert other.score is not None
    assert (other.score.p, other.score.propensity and other.score.propensity.source) == (
        0.1, "stated",
    )  # fmt: skip


def test_outcomes_that_say_something() -> None:
    assert [verdict(one) for one in ("clicked", "accepted", "redeemed")] == [True] * 3
    assert [verdict(one) for one in ("declined", "ignored", "complained")] == [False] * 3
    assert [verdict(one) for one in ("delivered", "opened", "bounced", "failed", "expired")] == [
        None
    ] * 5


def resource(**fields: Any) -> Resource:
    return parse_resource({"limit": 10, **fields}, key="r", version=1)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("fields", "instant", "start", "end"),
    [
        ({"per": "PT1H"}, "2026-11-21T12:34", "2026-11-21T12:00", "2026-11-21T13:00"),
        ({"per": "P1D", "zone": "Europe/Paris"}, "2026-11-21T23:30", "2026-11-21T23:00",
         "2026-11-22T23:00"),
        # The day on which the clock goes back has 25 hours, and its last part may be short.
        ({"per": "P1D", "zone": "Europe/Paris"}, "2026-10-25T12:00", "2026-10-24T22:00",
         "2026-10-25T23:00"),
        ({"per": "PT8H", "zone": "Europe/Paris"}, "2026-10-25T22:30", "2026-10-25T22:00",
         "2026-10-25T23:00"),
        ({"per": "P7D"}, "2026-11-21T12:00", "2026-11-16T00:00", "2026-11-23T00:00"),
        ({"per": "PT1H", "zone": "Asia/Kolkata"}, "2026-11-21T12:00", "2026-11-21T11:30",
         "2026-11-21T12:30"),
    ],
)  # fmt: skip
def test_windows_are_those_of_the_zone(
    fields: dict[str, str], instant: str, start: str, end: str
) -> None:
    assert resource(**fields).window(at(instant)) == (at(start), at(end))


def test_the_curve_says_how_much_should_be_used_by_when() -> None:
    flat, morning = resource(per="P1D"), resource(per="P1D", curve=[3, 1])
    assert [flat.planned(at(f"2026-11-21T{hour}")) for hour in ("00:00", "12:00")] == [0, 5]
    assert [morning.planned(at(f"2026-11-21T{hour}")) for hour in ("06:00", "12:00", "18:00")] == [
        3.75, 7.5, 8.75,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("limit", -1), ("limit", "many"), ("per", "PT7H"), ("per", "PT36H"), ("per", "PT1S"),
        ("zone", "Moon/Base"), ("curve", [0, 0]), ("curve", [-1]), ("curve", 3), ("colour", "red"),
    ],
)  # fmt: skip
def test_mistakes_are_named(field: str, value: object) -> None:
    with pytest.raises(Unprocessable) as refused:
        parse_resource({"limit": 1, "per": "P1D", field: value}, key="r", version=1)
    assert refused.value.problems[0].path.startswith(field)
