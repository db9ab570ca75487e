"""Experiments for tests."""

import math
from collections.abc import Iterable
from typing import Any

from services.orchestrator.domain.experiments.assignment import Running, publish
from services.orchestrator.domain.experiments.experiment import Experiment
from services.orchestrator.domain.experiments.experiment_document import parse_experiment
from services.orchestrator.domain.experiments.tally import Tally

ORDERS = {"key": "orders", "event": "order.placed"}
REFUSALS = {"key": "refusals", "event": "mail.unsubscribed", "better": "lower"}


def experiment_json(**fields: Any) -> dict[str, Any]:
    """The shortest document that is right, with fields of one's own."""
    return {
        "arms": [{"key": "control", "weight": 50}, {"key": "push", "weight": 50}],
        "metrics": {"primary": ORDERS},
        "sample": 2_000,
    } | fields


def experiment(key: str = "cart-test", **fields: Any) -> Experiment:
    return parse_experiment(experiment_json(**fields), key=key, version=1)


def running(key: str = "cart-test", **fields: Any) -> Running:
    return publish(experiment(key, **fields), None, [])


def arms(**weights: float) -> list[dict[str, Any]]:
    return [{"key": key, "weight": weight} for key, weight in weights.items()]


def tally_of(people: Iterable[tuple[float, float | None]]) -> Tally:
    """The tally of people, each with an outcome and a covariate, None where none is known."""
    outcomes: list[float] = []
    pairs: list[tuple[float, float]] = []
    for outcome, before in people:
        outcomes.append(outcome)
        if before is not None:
            pairs.append((outcome, before))
    return Tally(
        n=len(outcomes),
        total=math.fsum(outcomes),
        squares=math.fsum(y * y for y in outcomes),
        known=len(pairs),
        before=math.fsum(x for _, x in pairs),
        before_squares=math.fsum(x * x for _, x in pairs),
        products=math.fsum(x * y for y, x in pairs),
        total_known=math.fsum(y for y, _ in pairs),
    )


def conversions(n: int, converted: int) -> Tally:
    """The tally of `n` people of whom some converted, without a covariate."""
    return Tally(n=n, total=float(converted), squares=float(converted))
