"""The JSON form of an experiment: what is taken, and every mistake with its path and rule."""

from datetime import timedelta
from typing import Any

import pytest

from services.orchestrator.domain.experiments.experiment import KEPT, Arm
from services.orchestrator.domain.experiments.experiment_document import parse_experiment
from shared.conditions.tree import Compare
from shared.errors import Unprocessable
from tests.unit.orchestrator.experiments.build import ORDERS, arms, experiment, experiment_json

FULL: dict[str, Any] = {
    "key": "cart-test",
    "version": 3,
    "status": "draft",
    "name": "Push or mail",
    "hypothesis": "A push brings carts back sooner.",
    "description": "…",
    "layer": "cart",
    "salt": "cart-2026q4",
    "traffic": 12.5,
    "arms": [
        {"key": "mail", "name": "as today", "weight": 40},
        {"key": "push", "weight": 35.25},
        {"key": "nothing", "weight": 24.75},
    ],
    "metrics": {
        "primary": ORDERS
        | {"window": "P7D", "where": {"attr": "event.total", "op": "gte", "value": 5}},
        "secondary": [
            {"key": "spent", "event": "order.placed", "kind": "sum", "property": "event.total",
             "cap": 500, "before": "P28D"}
        ],
        "guardrails": [
            {"key": "refusals", "event": "mail.unsubscribed", "better": "lower", "window": "P2D",
             "tolerance": 0.002}
        ],
    },
    "sample": 20_000,
    "min_runtime": "P14D",
    "confidence": 0.9,
    "on_harm": "tell",
    "on_winner": "apply",
}  # fmt: skip


def problems(document: object, key: str = "cart-test") -> dict[str, str]:
    with pytest.raises(Unprocessable) as raised:
        parse_experiment(document, key=key, version=1)
    return {problem.path: problem.rule for problem in raised.value.problems}


def test_the_whole_document() -> None:
    found = parse_experiment(FULL, key="cart-test", version=3)
    assert (found.key, found.version, found.layer, found.salt) == (
        "cart-test", 3, "cart", "cart-2026q4",
    )  # fmt: skip
    assert found.arms == (Arm("mail", 40), Arm("push", 35.25), Arm("nothing", 24.75))
    assert (found.control, found.weights["push"], found.traffic) == ("mail", 35.25, 12.5)
    assert found.primary.where == Compare("event.total", "gte", 5)
    assert found.primary.window == timedelta(days=7)
    (spent,) = found.secondary
    assert (spent.kind, spent.property, spent.cap) == ("sum", "event.total", 500)
    assert spent.before == timedelta(days=28)
    (refusals,) = found.guardrails
    assert (refusals.better, refusals.tolerance) == ("lower", 0.002)
    assert (found.sample, found.min_runtime, found.confidence) == (20_000, timedelta(days=14), 0.9)
    assert (found.stop_on_harm, found.apply_winner) == (False, True)
    assert [metric.key for metric in found.metrics] == ["orders", "spent", "refusals"]


def test_the_shortest_document() -> None:
    found = experiment()
    assert (found.layer, found.salt, found.traffic) == ("cart-test", "cart-test", 100)
    assert (found.primary.kind, found.primary.better) == ("conversion", "higher")
    assert (found.primary.window, found.primary.before) == (timedelta(days=14), None)
    assert (found.confidence, found.min_runtime) == (0.95, timedelta(days=7))
    assert (found.stop_on_harm, found.apply_winner) == (True, False)


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({"arms": None}, {"arms": "required"}),
        ({"metrics": None}, {"metrics": "required", "metrics.primary": "required"}),
        ({"sample": None}, {"sample": "required"}),
        ({"sample": 199}, {"sample": "number_range"}),
        ({"sampel": 1}, {"sampel": "unknown_field"}),
        ({"key": "other"}, {"key": "same_key"}),
        ({"layer": "A layer"}, {"layer": "key"}),
        ({"salt": "a:b"}, {"salt": "salt"}),
        ({"traffic": 100.5}, {"traffic": "number_range"}),
        ({"traffic": 0.001}, {"traffic": "precision"}),
        ({"confidence": 95}, {"confidence": "number_range"}),
        ({"min_runtime": "P10D"}, {"min_runtime": "whole_weeks"}),
        ({"min_runtime": "P2Y"}, {"min_runtime": "duration"}),
        ({"on_harm": "ignore"}, {"on_harm": "choice"}),
        ({"on_winner": "yes"}, {"on_winner": "choice"}),
        ({"arms": {}}, {"arms": "type"}),
        ({"arms": []}, {"arms": "min_items"}),
        ({"arms": arms(control=100)}, {"arms": "min_items"}),
        ({"arms": arms(control=50, push=49)}, {"arms": "weights"}),
        ({"arms": arms(control=0, push=100)}, {"arms[0].weight": "control"}),
        ({"arms": [*arms(control=50), *arms(control=50)]}, {"arms[1].key": "unique"}),
        ({"arms": arms(control=50, P=50)}, {"arms[1].key": "key"}),
        ({"arms": arms(control=33.335, push=66.665)},
         {"arms[0].weight": "precision", "arms[1].weight": "precision"}),
        ({"arms": ["control", {"key": "push", "weight": 100, "share": 1}]},
         {"arms[0]": "type", "arms[0].key": "required", "arms[0].weight": "required",
          "arms[1].share": "unknown_field"}),
        ({"arms": [{"key": f"a{n}", "weight": 1} for n in range(11)]}, {"arms": "max_items"}),
    ],
)  # fmt: skip
def test_mistakes_have_their_place(fields: dict[str, Any], found: dict[str, str]) -> None:
    assert problems(experiment_json(**fields)) == found


@pytest.mark.parametrize(
    ("metric", "found"),
    [
        ({"event": "x"}, {"key": "required"}),
        ({"key": "x"}, {"event": "required"}),
        ({"kind": "mean"}, {"kind": "choice"}),
        ({"kind": "sum"}, {"property": "required"}),
        ({"kind": "sum", "property": "profile.age"}, {"property": "attribute"}),
        ({"kind": "sum", "property": "total"}, {"property": "unknown_attribute"}),
        ({"property": "event.total"}, {"property": "metric_kind"}),
        ({"cap": 3}, {"cap": "metric_kind"}),
        ({"kind": "count", "cap": -3}, {"cap": "number_range"}),
        ({"window": "P91D"}, {"window": "duration"}),
        ({"before": "28 days"}, {"before": "duration"}),
        ({"better": "more"}, {"better": "choice"}),
        ({"tolerance": 0.1}, {"tolerance": "unknown_field"}),
        ({"where": {"event": "x"}}, {"where.event": "event_leaf"}),
    ],
)
def test_a_metric_is_checked(metric: dict[str, Any], found: dict[str, str]) -> None:
    whole = metric if not {"key", "event"}.isdisjoint(metric) else ORDERS | metric
    assert problems(experiment_json(metrics={"primary": whole})) == {
        f"metrics.primary.{path}": rule for path, rule in found.items()
    }
    second = whole | ({"key": "second"} if "key" in whole else {})
    metrics = {"primary": ORDERS, "secondary": [second]}
    assert set(problems(experiment_json(metrics=metrics))) == {
        f"metrics.secondary[0].{path}" for path in found
    }


def test_metrics_have_names_of_their_own() -> None:
    one = {"key": "one", "event": "x"}
    metrics = {"primary": ORDERS, "secondary": [ORDERS, one], "guardrails": [one, {}]}
    assert problems(experiment_json(metrics=metrics)) == {
        "metrics.secondary[0].key": "unique",
        "metrics.guardrails[0].key": "unique",
        "metrics.guardrails[1].key": "required",
        "metrics.guardrails[1].event": "required",
    }


def test_a_key_is_a_key_and_a_document_is_an_object() -> None:
    assert problems(experiment_json(), key="Cart Test") == {"key": "key"}
    assert problems([])["$"] == "type"


def test_an_experiment_is_over_before_anything_it_needs_is_gone() -> None:
    def metrics(**fields: Any) -> dict[str, Any]:
        return {"primary": ORDERS, "secondary": [ORDERS | {"key": "more"} | fields]}

    def ran(weeks: int, **fields: Any) -> dict[str, Any]:
        return experiment_json(min_runtime=f"P{weeks * 7}D", metrics=metrics(**fields))

    kept = {"window": "P90D", "before": "P16D"}
    assert experiment(**ran(42, **kept)).min_runtime + timedelta(days=106) == KEPT
    assert problems(ran(42, **kept | {"before": "P17D"})) == {"min_runtime": "not_kept"}
    assert problems(ran(52, window="P90D")) == {"min_runtime": "not_kept"}
    assert experiment(**ran(52)).min_runtime == timedelta(days=364)
