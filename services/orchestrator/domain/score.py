"""What a candidate is worth: P x C x V x L, and the total order in which candidates stand.

P is the propensity, V the value in money, C the context (1 + the sum of the weights of the context
conditions that hold, in percent) and L the lever (1 + percent). The factors are those of Pega's
published prioritisation formula. "Do nothing" scores 0, so only a positive total beats it.
"""

from collections.abc import Iterable

from shared.contracts.decision import CandidateScore

MIN_WEIGHT = -50.0
MAX_WEIGHT = 100.0
"""Weights in percent stay within these, so that no lever can silence or drown everything else."""


def score(
    *, propensity: float, value: float, context_weights: Iterable[float], lever: float
) -> CandidateScore:
    """The score of one candidate; `context_weights` are those whose conditions hold, in percent."""
    weight = min(MAX_WEIGHT, max(MIN_WEIGHT, sum(context_weights)))
    c = 1.0 + weight / 100.0
    factor = 1.0 + lever / 100.0
    total = propensity * c * value * factor
    return CandidateScore(p=propensity, c=c, v=value, l=factor, cost=0.0, total=total)


def rank(candidate: CandidateScore, *, priority: int, key: str) -> tuple[float, int, float, str]:
    """Sorts the best candidate first: by total, then priority, then value, then key.

    The key makes the order total: two candidates of one arbitration never share one.
    """
    return (-candidate.total, -priority, -candidate.v, key)
