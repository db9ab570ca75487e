"""The read-out: what may be said of what was counted, what follows, and what not."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from services.orchestrator.domain.experiments.assignment import Running
from services.orchestrator.domain.experiments.conclude import follow
from services.orchestrator.domain.experiments.cuped import adjust
from services.orchestrator.domain.experiments.effect import effects
from services.orchestrator.domain.experiments.lift import lift
from services.orchestrator.domain.experiments.readout import Counted, ReadOut, read_out
from services.orchestrator.domain.experiments.sample_ratio import sample_ratio
from services.orchestrator.domain.experiments.tally import Moments, Tally
from services.orchestrator.domain.experiments.verdict import Harm, Verdict, discoveries
from tests.unit.orchestrator.experiments.build import (
    ORDERS,
    REFUSALS,
    arms,
    conversions,
    running,
    tally_of,
)

WEEK = timedelta(days=7)
GUARDED = {"primary": ORDERS, "guardrails": [REFUSALS]}
THREE = arms(control=50, push=25, mail=25)


def read(
    one: Running,
    orders: dict[str, tuple[int, int]],
    *,
    ran: timedelta = WEEK,
    exposed: dict[str, int] | None = None,
    **more: dict[str, Tally],
) -> ReadOut:
    """The read-out after conversions (people, of whom converted) by arm."""
    tallies = {"orders": {arm: conversions(*counts) for arm, counts in orders.items()}} | more
    people = {arm: counts[0] for arm, counts in orders.items()} if exposed is None else exposed
    return read_out(one, Counted(people, ran, tallies, mixed=3))


def test_a_clear_winner_is_called_at_the_size_that_was_planned() -> None:
    counted = {"control": (1_000, 100), "push": (1_000, 150)}
    found = read(running(), counted)
    effect = found.effects["orders"]["push"]
    assert (effect.control.mean, effect.arm.mean) == (0.1, 0.15)
    assert effect.difference == pytest.approx(0.05)
    assert effect.fixed == pytest.approx((0.0210, 0.0790), abs=5e-4)
    assert effect.lift == pytest.approx(0.5)
    assert effect.lift_interval == pytest.approx((0.18, 0.90), abs=0.02)
    assert effect.sequential is not None
    assert effect.sequential.low < effect.fixed.low < effect.fixed.high < effect.sequential.high
    assert effect.suspicious, "half as much again is looked at twice"
    verdict = found.verdict
    assert (verdict.outcome, verdict.arm, verdict.harms) == ("winner", "push", ())
    assert verdict.why == "push is better than control in orders beyond chance"
    assert (found.phase, found.mixed) == (1, 3)
    assert found.confidence == pytest.approx(0.95)


@pytest.mark.parametrize(
    ("orders", "ran", "why"),
    [
        ({"control": (900, 90), "push": (900, 180)}, WEEK, "1800 of 2000 people"),
        ({"control": (1_000, 100), "push": (1_000, 200)}, timedelta(days=6), "7 days yet"),
    ],
)
def test_nothing_is_called_too_early_however_good_it_looks(
    orders: dict[str, tuple[int, int]], ran: timedelta, why: str
) -> None:
    verdict = read(running(), orders, ran=ran).verdict
    assert (verdict.outcome, verdict.arm) == ("running", None)
    assert why in verdict.why


def test_what_may_be_chance_is_no_difference() -> None:
    verdict = read(running(), {"control": (1_000, 100), "push": (1_000, 110)}).verdict
    assert (verdict.outcome, verdict.arm) == ("no_difference", None)


def test_people_in_the_wrong_numbers_block_every_effect() -> None:
    found = read(running(), {"control": (1_000, 100), "push": (1_200, 300)})
    assert found.sample_ratio.alarm
    assert found.verdict.outcome == "blocked"


def test_the_sample_ratio_counts_all_who_were_exposed_whether_their_window_is_over_or_not() -> None:
    counted = {"control": (1_000, 100), "push": (1_200, 300)}
    found = read(running(), counted, exposed={"control": 5_000, "push": 5_010})
    assert found.verdict.outcome == "winner"


def test_fewer_can_be_better() -> None:
    metrics = {"primary": ORDERS | {"better": "lower"}}
    counted = {"control": (1_000, 150), "push": (1_000, 100)}
    assert read(running(metrics=metrics), counted).verdict.arm == "push"
    turned = {"control": (1_000, 100), "push": (1_000, 150)}
    assert read(running(metrics=metrics), turned).verdict.arm is None


def test_of_several_winners_the_best_and_each_comparison_is_held_to_more() -> None:
    counted = {"control": (2_000, 200), "push": (1_000, 140), "mail": (1_000, 150)}
    found = read(running(arms=THREE), counted)
    assert found.verdict.arm == "mail"
    assert found.confidence == pytest.approx(0.975)


def test_a_guardrail_stops_an_arm_at_any_look() -> None:
    refusals = {"control": conversions(500, 10), "push": conversions(500, 80)}
    one = running(metrics=GUARDED)
    found = read(one, {"control": (300, 30), "push": (300, 60)}, refusals=refusals)
    assert found.verdict.outcome == "running"
    assert found.verdict.harms == (Harm("push", "refusals"),)
    assert follow(one, found.verdict).ended, "there is no other arm"


def test_an_arm_that_was_stopped_does_not_win() -> None:
    one = running(arms=THREE, on_winner="apply")
    won = Verdict("winner", "push", (), "push is better")
    assert follow(one, won).winner == "push"
    stopped = replace(one, stopped=frozenset({"push"}))
    assert follow(stopped, won) == stopped


def test_a_guardrail_tolerates_what_it_says() -> None:
    refusals = {"control": conversions(500, 10), "push": conversions(500, 80)}
    metrics = {"primary": ORDERS, "guardrails": [REFUSALS | {"tolerance": 0.1}]}
    found = read(
        running(metrics=metrics), {"control": (300, 30), "push": (300, 60)}, refusals=refusals
    )
    assert found.verdict.harms == ()


def test_a_loss_in_the_primary_metric_is_harm_too_and_a_harmful_arm_never_wins() -> None:
    found = read(running(), {"control": (500, 150), "push": (500, 50)})
    assert found.verdict.harms == (Harm("push", "orders"),)
    refusals = {"control": conversions(1_000, 10), "push": conversions(1_000, 100)}
    winning = read(
        running(metrics=GUARDED), {"control": (1_000, 100), "push": (1_000, 150)}, refusals=refusals
    )
    assert (winning.verdict.outcome, winning.verdict.arm) == ("no_difference", None)


def test_harm_is_not_read_into_a_handful_of_people() -> None:
    refusals = {"control": conversions(99, 0), "push": conversions(99, 99)}
    found = read(running(metrics=GUARDED), {"control": (99, 9), "push": (99, 9)}, refusals=refusals)
    assert found.effects["refusals"]["push"].sequential is None
    assert found.verdict.harms == ()


def test_a_stopped_arm_is_not_read_any_more_and_the_others_are() -> None:
    one = Running(*_parts(running(arms=THREE)), stopped=frozenset({"mail"}))
    found = read(one, {"control": (1_000, 100), "push": (500, 80), "mail": (90, 60)})
    assert set(found.effects["orders"]) == {"push"}
    assert not found.sample_ratio.alarm
    assert found.verdict.outcome == "running", "1,500 people, the stopped ones not among them"


def test_nobody_yet_is_no_mistake() -> None:
    found = read(running(), {})
    assert (found.effects["orders"], found.verdict.outcome) == ({}, "running")
    assert found.sample_ratio.p == 1.0
    assert read(running(), {"control": (0, 0), "push": (5, 1)}).effects["orders"] == {}
    assert read(running(), {"control": (5, 1), "push": (1, 1)}).effects["orders"] == {}


def test_secondary_metrics_are_findings_only_together() -> None:
    names = ["a", "b", "c", "d"]
    metrics = {"primary": ORDERS, "secondary": [{"key": one, "event": one} for one in names]}
    more: dict[str, Any] = {  # their p are about 0.0005, 0.04, 0.6 and 1
        "a": {"control": conversions(1_000, 100), "push": conversions(1_000, 152)},
        "b": {"control": conversions(1_000, 100), "push": conversions(1_000, 129)},
        "c": {"control": conversions(1_000, 100), "push": conversions(1_000, 107)},
        "d": {"control": conversions(1_000, 100), "push": conversions(1_000, 100)},
    }
    found = read(running(metrics=metrics), {"control": (1_000, 100), "push": (1_000, 100)}, **more)
    assert found.effects["b"]["push"].p < 0.05
    assert found.stand == {("a", "push")}


def test_discoveries_are_those_of_the_paper() -> None:
    # Benjamini & Hochberg 1995, section 4: fifteen hypotheses, four are rejected at 0.05
    p = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262,
         0.5719, 0.6528, 0.7590, 1.0]  # fmt: skip
    named = {(str(place), "push"): one for place, one in enumerate(p)}
    assert discoveries(named, 0.05) == {(str(place), "push") for place in range(4)}
    assert discoveries({}, 0.05) == frozenset()


def test_the_sample_ratio_fires_at_49_to_51_and_is_quiet_at_50_to_50() -> None:
    half = {"control": 50.0, "push": 50.0}
    skewed = sample_ratio({"control": 49_000, "push": 51_000}, half)
    assert skewed.chi_square == pytest.approx(40.0)
    assert skewed.p == pytest.approx(2.54e-10, rel=1e-2)
    assert skewed.alarm
    assert not sample_ratio({"control": 50_000, "push": 50_000}, half).alarm
    assert not sample_ratio({"control": 49_800, "push": 50_200}, half).alarm
    weights = {"a": 10.0, "b": 20.0, "c": 70.0}
    assert sample_ratio({"a": 1_000, "b": 2_000, "c": 7_000}, weights).p == 1.0
    assert sample_ratio({"a": 1_200, "b": 2_000, "c": 6_800}, weights).alarm
    assert sample_ratio({"c": 50}, weights).alarm, "who is missing is missed"
    assert sample_ratio({"a": 1, "x": 1}, {"a": 100.0}).p == 0.0, "an arm that there is not"


def test_a_covariate_takes_out_what_it_explains() -> None:
    known = [(2.0 * x + noise, float(x)) for x in range(50) for noise in (-1.0, 1.0)]
    both = {"control": tally_of(known), "push": tally_of((y + 5.0, x) for y, x in known)}
    found = adjust(both)
    assert found is not None
    assert found.theta == pytest.approx(2.0)
    assert found.moments["control"].variance == pytest.approx(100 / 99)
    assert found.moments["push"].mean - found.moments["control"].mean == pytest.approx(5.0)
    options: dict[str, Any] = {"control": "control", "kind": "sum", "planned": 200,
                               "alpha": 0.05, "alpha_any_time": 0.05}  # fmt: skip
    effect = effects(both, **options)["push"]
    assert effect.reduction == pytest.approx(1 - (100 / 99) / both["push"].moments.variance)
    assert effect.fixed.high - effect.fixed.low < 0.6
    without = {arm: tally_of((y, None) for y, _ in known) for arm in both}
    assert adjust(without) is None
    assert adjust({"control": tally_of([(1.0, 2.0)] * 9), "push": tally_of([])}) is None
    assert adjust({"control": tally_of([(1.0, 2.0)] * 9)}) is None, "it does not vary"


def test_a_tally_has_mean_and_variance_of_its_people() -> None:
    found = tally_of([(2.0, None), (4.0, 1.0), (4.0, None), (4.0, None), (5.0, 2.0), (5.0, None),
                      (7.0, None), (9.0, None)])  # fmt: skip
    assert (found.moments.n, found.moments.mean) == (8, 5.0)
    assert found.moments.variance == pytest.approx(32 / 7)
    assert (found.known, found.before, found.products, found.total_known) == (2, 3.0, 14.0, 9.0)
    assert tally_of([(1.0, None)]).moments == Moments(1, 1.0, 0.0)
    assert Tally().moments == Moments(0, 0.0, 0.0)
    assert conversions(10, 3) == tally_of([(1.0, None)] * 3 + [(0.0, None)] * 7)


def test_lift_over_a_holdout_is_for_one_and_for_all() -> None:
    found = lift(
        held_out=conversions(1_000, 50),
        reached=conversions(19_000, 1_330),
        percent=5,
        kind="conversion",
    )
    assert found.effect is not None
    assert found.effect.difference == pytest.approx(0.02)
    assert found.added == pytest.approx(380)
    assert found.added_interval == pytest.approx(
        (found.effect.fixed.low * 19_000, found.effect.fixed.high * 19_000)
    )
    assert found.added_interval is not None
    assert found.added_interval.low > 0
    assert found.effect.lift == pytest.approx(0.4)


def test_lift_says_nothing_where_people_are_missing() -> None:
    skewed = lift(
        held_out=conversions(800, 50), reached=conversions(19_200, 1_330), percent=5,
        kind="conversion",
    )  # fmt: skip
    assert skewed.sample_ratio.alarm
    assert (skewed.effect, skewed.added, skewed.added_interval) == (None, None, None)
    none = lift(held_out=Tally(), reached=conversions(20, 3), percent=5, kind="conversion")
    assert none.effect is None


def _parts(one: Running) -> tuple[Any, Any, Any]:
    return one.experiment, one.traffic, one.split
