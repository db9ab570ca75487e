"""Experiments for tests."""

from typing import Any

from services.orchestrator.domain.experiments.assignment import Running, publish
from services.orchestrator.domain.experiments.experiment import Experiment
from services.orchestrator.domain.experiments.experiment_document import parse_experiment

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
