"""Event leaves of rules: which there are, where they are answered, and what is known later."""

from datetime import timedelta
from typing import Any

import pytest

from services.orchestrator.domain.leaves_at import leaves_at
from services.orchestrator.domain.rule_leaves import leaves_of_rule
from shared.conditions.leaves import leaf_hash
from shared.conditions.parse import parse_condition
from shared.conditions.tree import EventCount
from shared.contracts.times import rfc3339
from tests.unit.orchestrator.build import NOON, profile_json, rule, ruleset
from tests.unit.orchestrator.test_decide import ADA, fate, moment

VISITS: dict[str, Any] = {"event": "Store Visit", "count": {"gte": 2}, "within": "P30D"}
BOUGHT: dict[str, Any] = {"event": "Order Completed", "within": "PT2H"}
HOUR = timedelta(hours=1)


def name(document: dict[str, Any]) -> str:
    leaf = parse_condition(document, allow_event_leaves=True)
    assert isinstance(leaf, EventCount)
    return leaf_hash(leaf)


def counted(document: dict[str, Any], count: int, *leaving: timedelta) -> dict[str, Any]:
    """A profile for which so many are counted; the last of them leave their window then."""
    instants = [rfc3339(NOON + when) for when in leaving]
    state: dict[str, Any] = {"count": count, "until": instants[0] if instants else None}
    if instants[1:]:
        state["leaving"] = instants[1:]
    return profile_json(ADA, leaves={name(document): state})


def test_lists_what_has_to_be_counted_once_with_the_largest_count() -> None:
    more = {**VISITS, "count": {"gte": 5}}
    one = rule(
        trigger={"type": "event", "event": "x", "where": {"any": [VISITS, BOUGHT]}},
        engagement_policy={"eligibility": more, "suitability": {"not": BOUGHT}},
        score={"context": [{"when": {"event": "Opened"}, "weight": 1}]},
        exit_criteria=[{"event": "Returned"}, {"event": "Asked", "count": {"gte": 3}}],
    )
    found = leaves_of_rule(one)
    assert {leaf.event: leaf.count for leaf in found.values()} == {
        "Store Visit": 5,
        "Order Completed": 1,
        "Opened": 1,
        "Asked": 3,
    }
    assert set(found) == {name(VISITS), name(BOUGHT), name({"event": "Opened"}),
                          name({"event": "Asked"})}  # fmt: skip


@pytest.mark.parametrize(("count", "met"), [(1, False), (2, True), (3, True)])
def test_policy_and_trigger_read_the_counts_of_the_snapshot(count: int, met: bool) -> None:
    profile = counted(VISITS, count)
    policy = rule(engagement_policy={"eligibility": VISITS})
    reached = ("chosen", "chosen") if met else ("eligibility", "not_eligible")
    assert fate(policy, profile=profile) == reached
    where = rule(trigger={"event": "Cart Updated", "where": VISITS})
    seen = moment(profile)
    assert bool(ruleset(where).candidates(seen.facts, seen.cause)) is met


def test_what_is_not_counted_yet_is_unknown_either_way() -> None:
    plain = rule(engagement_policy={"applicability": BOUGHT})
    negated = rule(engagement_policy={"applicability": {"not": BOUGHT}})
    assert fate(plain) == fate(negated) == ("applicability", "not_applicable")


def test_an_exit_criterion_that_counts_is_a_condition() -> None:
    asked = {"event": "Asked", "count": {"gte": 2}, "within": "P1D"}
    live = ruleset(rule(exit_criteria=[{"event": "Returned"}, asked])).rules["r"]
    assert [one.event for one in live.exit_events] == ["Returned"]
    assert len(live.exit_conditions) == 1
    one = rule(exit_criteria=[asked])
    assert fate(one, profile=counted(asked, 2)) == ("applicability", "exit_met")
    assert fate(one, profile=counted(asked, 1)) == ("chosen", "chosen")


@pytest.mark.parametrize(
    ("later", "count"),
    [
        (timedelta(0), 3),
        (HOUR, 2),
        (2 * HOUR, 1),
        (3 * HOUR, 0),
        (9 * HOUR, 0),
    ],
)
def test_a_count_falls_by_time_alone(later: timedelta, count: int) -> None:
    profile = counted(VISITS, 3, HOUR, 2 * HOUR, 3 * HOUR)
    assert leaves_at(profile["leaves"], NOON + later)[name(VISITS)]["count"] == count


def test_beyond_what_is_known_a_count_is_unknown() -> None:
    profile = counted(VISITS, 5, HOUR, 2 * HOUR)
    assert leaves_at(profile["leaves"], NOON + HOUR)[name(VISITS)]["count"] == 4
    assert leaves_at(profile["leaves"], NOON + 2 * HOUR) == {}
    assert leaves_at({}, NOON) == {}
