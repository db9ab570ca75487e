"""What a candidate is worth: P x C x V x L, less what it takes of scarce things, and the order.

P is the propensity, V the value in money, C the context (1 + the sum of the weights of the context
conditions that hold, in percent) and L the lever (1 + percent). The factors are those of Pega's
published prioritisation formula. What it takes is worth amount x price of each resource. Where the
rule says what the customer gains, that is a stated part of the total. "Do nothing" scores 0, so
only a positive total beats it.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence

from services.orchestrator.domain.contact_policy import FACTORS, TIES
from services.orchestrator.domain.estimates import Propensity
from shared.contracts.decision import CandidateScore, PropensityParts, ResourceCost

MIN_WEIGHT = -50.0
MAX_WEIGHT = 100.0
"""Weights in percent stay within these, so that no lever can silence or drown everything else."""

_NOTHING: Mapping[str, float] = {}


def score(
    *,
    propensity: Propensity,
    value: float,
    context_weights: Iterable[float],
    lever: float,
    costs: Mapping[str, float] = _NOTHING,
    prices: Mapping[str, float] = _NOTHING,
    customer: float | None = None,
    customer_weight: float = 0.0,
    formula: Collection[str] = FACTORS,
) -> CandidateScore:
    """The score of one candidate; `context_weights` are those whose conditions hold, in percent.

    `costs` are amounts by resource, `prices` what one of each is worth; a resource without a price
    costs nothing. `customer` counts with `customer_weight`, 0 to 1, the company's gain with the
    rest. Factors that the `formula` leaves out are 1.
    """
    weight = min(MAX_WEIGHT, max(MIN_WEIGHT, sum(context_weights)))
    p = propensity.p if "propensity" in formula else 1.0
    c = 1.0 + weight / 100.0 if "context" in formula else 1.0
    v = value if "value" in formula else 1.0
    factor = 1.0 + lever / 100.0 if "lever" in formula else 1.0
    taken = [ResourceCost(key, costs[key], prices.get(key, 0.0)) for key in sorted(costs)]
    cost = sum((one.amount * one.price for one in taken), 0.0)
    total = p * c * v * factor - cost
    if customer is not None:
        total = (1.0 - customer_weight) * total + customer_weight * customer
    learned = propensity.source == "learned"
    return CandidateScore(
        p=p,
        c=c,
        v=v,
        l=factor,
        cost=cost,
        total=total,
        customer=customer,
        customer_weight=None if customer is None else customer_weight,
        costs=taken,
        propensity=PropensityParts(propensity.alpha, propensity.beta, propensity.source)
        if learned or 0.0 < p < 1.0
        else None,
    )


Rank = tuple[float | int | str, ...]


def rank(candidate: CandidateScore, *, value: float, priority: int, key: str,
         tie: Sequence[str] = TIES) -> Rank:  # fmt: skip
    """Sorts the best candidate first: by total, then by `tie`: priority, value and key.

    The key makes the order total: two candidates of one touchpoint never share one.
    """
    ties: Mapping[str, float | int | str] = {"priority": -priority, "value": -value, "key": key}
    return (-candidate.total, *(ties[name] for name in tie))
