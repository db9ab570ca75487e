"""The gate of experiments: who may be acted for, what is on the record, and what is noted."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from services.orchestrator.domain.decide import Considered, decide
from services.orchestrator.domain.effects import Effects
from services.orchestrator.domain.experiments.assignment import Running, assign
from services.orchestrator.domain.experiments.experiment import Metric
from services.orchestrator.domain.experiments.exposure import Exposure
from services.orchestrator.domain.experiments.in_force import Assigned
from services.orchestrator.domain.experiments.measure import Measures, Told
from services.orchestrator.domain.expose import expose, measure
from services.orchestrator.domain.journeys.compared import phase_of, running_of
from services.orchestrator.domain.rule import InArms
from services.orchestrator.domain.trigger_index import RuleSet
from shared.conditions.facts import Facts
from shared.errors import Unprocessable
from tests.unit.orchestrator.build import NOON, policy, rule, ruleset
from tests.unit.orchestrator.experiments.build import experiment, running
from tests.unit.orchestrator.journeys.build import end, journey, wait
from tests.unit.orchestrator.situations import ADA, decided, situation

OTHER = {"control": "push", "push": "control"}


def part(*arms: str) -> dict[str, Any]:
    return {"experiment": {"key": "cart-test", "arms": list(arms)}}


def mine(one: Running) -> str:
    """Ada's arm."""
    return assign(one, ADA).arm


def noted(considered: list[Considered]) -> list[Exposure]:
    effects = Effects()
    expose(effects, considered)
    return effects.exposures


def test_a_rule_says_in_which_arms_it_acts() -> None:
    assert rule(**part("push")).experiment == InArms("cart-test", ("push",))
    for wrong in ({}, {"key": "k"}, {"key": "k", "arms": []}, {"key": "k", "arms": ["a", "a"]},
                  {"key": "k", "arms": ["A b"]}, {"key": "k", "arms": ["a"], "x": 1}):  # fmt: skip
        with pytest.raises(Unprocessable):
            rule(experiment=wrong)


def test_a_rule_acts_for_its_arm_and_the_other_is_exposed_all_the_same() -> None:
    one = running()
    own, other = mine(one), OTHER[mine(one)]
    rules = ruleset(rule("a", **part(own)), rule("b", **part(other)), experiments=[one])
    acting, fallen = decided(rules)
    assert (acting.live.key, acting.drop) == ("a", None)
    assert fallen.drop is not None
    assert (fallen.drop.stage, fallen.drop.reason) == ("experiment", "other_arm")
    assert (fallen.drop.expected, fallen.drop.actual) == ([other], own)
    assert [(found.arm, found.place.key) for found in noted([acting, fallen])] == [
        (own, "a"), (own, "b"),
    ]  # fmt: skip


def test_without_the_experiment_nobody_is_acted_for_and_nobody_exposed() -> None:
    (one,) = decided(ruleset(rule("a", **part("control", "push"))))
    assert one.drop is not None
    assert (one.drop.stage, one.drop.reason) == ("experiment", "not_running")
    assert noted([one]) == []


@pytest.mark.parametrize("change", ["stopped", "ended", "winner"])
def test_what_is_over_is_asked_and_exposes_nobody(change: str) -> None:
    one = running()
    own, other = mine(one), OTHER[mine(one)]
    changed = {
        "stopped": replace(one, stopped=frozenset({"push"})),
        "ended": replace(one, ended=True),
        "winner": replace(one, winner=other),
    }[change]
    gets = {"stopped": "control", "ended": "control", "winner": other}[change]
    rules = ruleset(rule("a", **part("control")), rule("b", **part("push")), experiments=[changed])
    considered = decided(rules)
    assert [found.live.key for found in considered if found.drop is None] == [
        "a" if gets == "control" else "b"
    ]
    exposed = change == "stopped" and own == "control"
    assert bool(noted(considered)) is exposed


def test_who_is_held_out_of_all_marketing_is_asked_for_no_arm() -> None:
    one = running()
    everybody = [policy(holdout={"percent": 100, "salt": "s"})]
    marketing = rule("a", category="marketing", **part("control", "push"))
    (found,) = decided(ruleset(marketing, policies=everybody, experiments=[one]))
    assert found.drop is not None
    assert found.drop.stage == "holdout"
    assert found.assigned is None
    assert noted([found]) == []


def test_somebody_unknown_gets_what_the_control_gets_and_is_not_exposed() -> None:
    one = running()
    assert assign(one, None).why == "outside"
    rules = ruleset(rule("a", **part("control", "push")), experiments=[one])
    seen = situation()
    unknown = replace(seen, moment=msgspec.structs.replace(seen.moment, seq=0))
    (found,) = decide(rules.candidates(seen.moment.facts), unknown, rules)
    assert found.assigned is not None
    assert (found.assigned.arm, found.assigned.why) == ("control", "outside")
    assert noted([found]) == []


def test_what_is_known_of_a_person_is_not_asked_again() -> None:
    one = running()
    known = Assigned("cart-test", 1, 1, OTHER[mine(one)], "split", 3)
    rules = ruleset(rule("a", **part("push")), experiments=[one]).with_arms({"cart-test": known})
    assert rules.experiments.assign("cart-test", ADA) == known


ORDERS = {"key": "orders", "event": "order.placed", "where": {"attr": "event.total", "op": "gt",
          "value": 10}}  # fmt: skip
SPENT = {"key": "spent", "event": "order.placed", "kind": "sum", "property": "event.total"}


def values(measures: Measures, **event: Any) -> dict[str, float]:
    facts = Facts(event_type="order.placed", event=event)
    told = Told(ADA, "t", ADA, 2, NOON)
    return {one.metric: one.value for one in measures.of(facts, told)}


def test_what_a_touchpoint_counts_for() -> None:
    one = running(metrics={"primary": ORDERS, "secondary": [SPENT]})
    measures = Measures([one])
    assert measures.listens == {"order.placed"}
    assert values(measures, total=20) == {"orders": 1.0, "spent": 20.0}
    assert values(measures, total=5) == {"spent": 5.0}
    assert values(measures, total=True) == {}
    assert values(measures) == {}
    assert values(Measures([replace(one, ended=True)]), total=20) == {}


def test_money_may_be_written_as_text_and_what_no_sum_can_hold_is_left_out() -> None:
    measures = Measures([running(metrics={"primary": SPENT})])
    assert values(measures, total="59.90") == {"spent": 59.9}
    for odd in ("much", "1e3", 10**400, 1e300, -1e300, float("inf"), "9" * 40, [1], None):
        assert values(measures, total=odd) == {}, odd


def test_who_left_the_traffic_still_counts_but_nothing_is_noted_of_them_before() -> None:
    before = ORDERS | {"before": "P7D"}
    for primary in (ORDERS, before):
        one = running(metrics={"primary": primary})
        facts = Facts(event_type="order.placed", event={"total": 20})
        told = Told(ADA, "t", ADA, 2, NOON)
        (inside,) = Measures([one]).of(facts, told)
        (outside,) = Measures([replace(one, traffic=())]).of(facts, told)
        assert (inside.always, outside.always) == (primary is before, False)


def test_holdouts_count_only_with_a_metric() -> None:
    plain = ruleset(rule(holdout={"percent": 10}))
    assert plain.holdouts() == []
    assert "order.placed" not in plain.listens
    metric = {"key": "orders", "event": "order.placed"}
    measured = ruleset(
        rule("a", category="marketing", holdout={"percent": 10, "salt": "s", "metric": metric}),
        rule("b", category="marketing", holdout={"percent": 10, "salt": "s", "metric": metric}),
        policies=[policy(holdout={"percent": 5, "salt": "all", "metric": metric})],
    )
    assert [(layer, one.salt) for layer, one in measured.holdouts()] == [
        ("rule", "s"), ("universal", "all"),
    ]  # fmt: skip
    found = noted(decided(measured))
    assert {one.experiment for one in found} <= {"rule:s", "universal:all"}
    assert {one.phase for one in found} <= {1_000, 500}
    effects = Effects()
    seen = situation(event="order.placed")
    measure(effects, seen.moment, measured, NOON)
    assert sorted(one.source for one in effects.measured) == ["rule:s", "universal:all"]


def nodes(**fields: Any) -> dict[str, Any]:
    return {
        "id": "ways",
        "type": "experiment",
        "salt": "s",
        "arms": [
            {"key": "a", "percent": 50, "next": "rest"},
            {"key": "b", "percent": 50, "next": "end"},
        ],
    } | fields


def test_a_node_is_read_as_any_experiment_and_another_split_is_another_phase() -> None:
    goal = {"event": "order.placed", "within": "P14D"}
    one = journey(nodes(), wait("rest", duration="P1D"), end(), goal=goal)
    found = running_of(one, "ways")
    assert found is not None
    assert (found.experiment.key, found.experiment.control) == ("j/ways", "a")
    assert found.experiment.primary.window == timedelta(days=14)
    assert running_of(one, "rest") is None
    other = journey(nodes(salt="t"), wait("rest", duration="P1D"), end(), goal=goal, version=2)
    same = journey(nodes(), wait("rest", duration="P9D"), end(), goal=goal, version=3)
    assert phase_of(one, "ways") == phase_of(same, "ways") != phase_of(other, "ways")
    assert phase_of(one, None) is None
    assert running_of(journey(nodes(), wait("rest", duration="P1D"), end()), "ways") is None


def test_the_configuration_without_experiments_listens_to_nothing_more() -> None:
    assert RuleSet(epoch=1).measures.listens == frozenset()
    assert isinstance(experiment().primary, Metric)
