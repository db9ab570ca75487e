"""Whether enough is left of the scarce resources that something takes, and what it takes."""

from collections.abc import Mapping
from datetime import datetime

from services.orchestrator.domain.gates import Drop
from services.orchestrator.domain.history import Use, Used
from services.orchestrator.domain.resource import Resource
from shared.contracts.times import rfc3339

SLACK = 1e-9
"""Amounts are sums of decimal numbers; so much more than the limit is none."""


def lacking(
    resources: Mapping[str, Resource], costs: Mapping[str, float], used: Used, at: datetime
) -> Drop | None:
    """Whether a resource has not enough left for the costs of something done at an instant."""
    for key, amount in sorted(costs.items()):
        resource = resources.get(key)
        if resource is None:
            words = f"there is a resource {key}"
            return Drop("capacity", "unknown_resource", words, True, False)
        start, end = resource.window(at)
        left = max(0.0, resource.limit - used.get((key, start), 0.0))
        if amount > left + SLACK:
            until = f"{amount:g} of {key} are left until {rfc3339(end)}"
            return Drop("capacity", "no_capacity", until, amount, left)
    return None


def uses_of(
    resources: Mapping[str, Resource], costs: Mapping[str, float], at: datetime
) -> tuple[Use, ...]:
    """What something done at an instant takes, by key; every resource has to be there."""
    return tuple(
        Use(key, resources[key].window(at)[0], amount, resources[key].limit)
        for key, amount in sorted(costs.items())
        if amount
    )
