"""Who is in which arm: sticky, exclusive in a layer, and what publishing and verdicts change."""

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from services.orchestrator.domain.experiments.assignment import Assignment, assign, publish
from services.orchestrator.domain.experiments.conclude import follow
from services.orchestrator.domain.experiments.verdict import Harm, Outcome, Verdict
from services.orchestrator.domain.holdout import UNIVERSAL, exposure
from services.orchestrator.domain.rule import Holdout
from shared.errors import Conflict
from tests.unit.orchestrator.experiments.build import ORDERS, arms, experiment, running
from tests.unit.orchestrator.experiments.test_buckets import ONE, PEOPLE

SOME = PEOPLE[:4_000]
THREE = arms(control=34, push=33, mail=33)


def verdict(outcome: Outcome, arm: str | None = None, *harmful: str) -> Verdict:
    return Verdict(outcome, arm, tuple(Harm(one, "orders") for one in harmful), "so it is")


def test_the_same_person_is_in_the_same_arm_and_the_arms_have_their_weights() -> None:
    one = running(arms=arms(control=20, push=80))
    found = {unit: assign(one, unit) for unit in SOME}
    again = running(arms=arms(control=20, push=80))
    assert found == {unit: assign(again, unit) for unit in reversed(SOME)}
    many = Counter(assignment.arm for assignment in found.values())
    assert many["control"] == pytest.approx(800, abs=75)
    assert assign(one, ONE) == Assignment("control", "split", 271)


def test_two_experiments_of_a_layer_never_share_a_customer() -> None:
    first = running("first", layer="cart", traffic=60)
    second = publish(experiment("second", layer="cart", traffic=40), None, [first])
    for unit in SOME:
        assert assign(first, unit).exposed != assign(second, unit).exposed
    with pytest.raises(Conflict, match="first 60 %, second 40 %"):
        publish(experiment("third", layer="cart", traffic=1), None, [first, second])


def test_experiments_of_two_layers_mix() -> None:
    first, second = running("first", layer="cart"), running("second", layer="mail")
    pairs = Counter((assign(first, unit).arm, assign(second, unit).arm) for unit in SOME)
    assert len(pairs) == 4
    assert all(many == pytest.approx(1_000, abs=90) for many in pairs.values())


def test_one_salt_is_for_one_experiment() -> None:
    first = running("first", salt="same")
    with pytest.raises(Conflict, match="the salt same is that of first too"):
        publish(experiment("second", salt="same"), None, [first])
    over = replace(first, winner="push")
    assert publish(experiment("second", salt="same"), None, [over]).phase == 1


def test_an_experiment_that_is_over_leaves_its_layer() -> None:
    first = replace(running("first", layer="cart"), ended=True)
    assert publish(experiment("second", layer="cart"), None, [first]).experiment.traffic == 100


def test_who_does_not_take_part_gets_what_the_control_gets_and_is_not_counted() -> None:
    one = running(traffic=0)
    assert assign(one, ONE) == Assignment("control", "outside")
    assert not assign(one, ONE).exposed


def test_the_universal_holdout_and_the_arms_are_independent() -> None:
    one, holdout = running(), Holdout(20, "2026-h2")
    held = [unit for unit in PEOPLE if exposure(holdout, UNIVERSAL, unit).held_out]
    many = Counter(assign(one, unit).arm for unit in held)
    assert len(held) == pytest.approx(4_000, abs=170)
    assert many["push"] == pytest.approx(len(held) / 2, abs=95)


def test_more_traffic_moves_nobody_and_goes_on_in_the_same_phase() -> None:
    small = running(traffic=20)
    large = publish(experiment(traffic=70), small, [])
    assert large.phase == small.phase == 1
    for unit in SOME:
        if assign(small, unit).exposed:
            assert assign(large, unit) == assign(small, unit)


def test_an_arm_that_grows_keeps_everybody_and_a_new_phase_begins() -> None:
    before = running(arms=THREE)
    after = publish(experiment(arms=arms(control=40, push=50, mail=10)), before, [])
    assert after.phase == 2
    for unit in SOME:
        was, now = assign(before, unit).arm, assign(after, unit).arm
        assert was == now or was == "mail"


@pytest.mark.parametrize(
    "changed",
    [
        {"salt": "other"},
        {"layer": "other"},
        {"sample": 4_000},
        {"confidence": 0.9},
        {"metrics": {"primary": ORDERS | {"window": "P1D"}}},
        {"arms": arms(push=50, control=50)},
        {"arms": THREE},
    ],
)
def test_another_question_begins_a_new_phase(changed: dict[str, Any]) -> None:
    assert publish(experiment(**changed), running(), []).phase == 2


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"traffic": 50},
        {"name": "better said"},
        {"metrics": {"primary": ORDERS, "guardrails": [{"key": "g", "event": "g"}]}},
        {"min_runtime": "P14D"},
    ],
)
def test_what_changes_no_answer_does_not(changed: dict[str, Any]) -> None:
    assert publish(experiment(**changed), running(), []).phase == 1
    assert timedelta(days=7) == running().experiment.min_runtime


def test_the_winner_is_for_everybody() -> None:
    one = running(traffic=10, on_winner="apply")
    over = follow(one, verdict("winner", "push"))
    assert {assign(over, unit) for unit in SOME} == {Assignment("push", "winner")}
    assert follow(over, verdict("winner", "control")) is over, "what was called stays called"
    none = follow(one, verdict("no_difference"))
    assert {assign(none, unit) for unit in SOME} == {Assignment("control", "ended")}
    assert follow(none, verdict("winner", "push")) is none
    assert follow(one, verdict("running")) is one
    assert follow(one, verdict("blocked")) is one


def test_without_being_told_to_nobody_wins() -> None:
    one = running()
    assert follow(one, verdict("winner", "push")) is one
    assert follow(one, verdict("no_difference")) is one


def test_an_arm_that_does_harm_stops_and_the_others_go_on() -> None:
    one = running(arms=THREE)
    after = follow(one, verdict("running", None, "mail"))
    assert after.stopped == {"mail"}
    assert not after.ended
    for unit in SOME:
        was, now = assign(one, unit), assign(after, unit)
        if was.arm == "mail":
            assert now == Assignment("control", "stopped", was.bucket)
            assert not now.exposed
        else:
            assert now == was
    last = follow(after, verdict("blocked", None, "push"))
    assert last.ended, "harm stops whatever else is to be said"
    assert publish(experiment(arms=THREE, traffic=50), after, []).stopped == {"mail"}


def test_harm_may_only_be_told() -> None:
    one = running(on_harm="tell")
    assert follow(one, verdict("running", None, "push")) is one
