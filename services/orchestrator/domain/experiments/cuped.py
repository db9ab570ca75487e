"""Takes out of an outcome what was known of the person before: the same effect, less noise.

CUPED of Deng, Xu, Kohavi & Walker 2013, "Improving the Sensitivity of Online Controlled Experiments
by Utilizing Pre-Experiment Data", WSDM. The variance shrinks by the square of the correlation of
outcome and covariate. People of whom nothing is known get the mean of those of whom something is:
whatever stands for them, it was settled before they were exposed, so the effect stays unbiased.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from services.orchestrator.domain.experiments.tally import Moments, Tally


@dataclass(frozen=True, slots=True)
class Adjusted:
    """Moments by arm after the adjustment; `theta` is how much outcome goes with one of the
    covariate, `reduction` the share of the variance that is gone."""

    moments: Mapping[str, Moments]
    theta: float
    reduction: float


@dataclass(frozen=True, slots=True)
class _Spread:
    """An arm with every covariate filled in: its mean, its variance, the covariance with y."""

    outcome: Moments
    mean: float
    variance: float
    covariance: float

    @property
    def weight(self) -> int:
        return self.outcome.n - 1


def adjust(tallies: Mapping[str, Tally]) -> Adjusted | None:
    """The outcome of each arm less theta times what its covariate has above that of all arms.

    None where there is nothing to adjust by: no covariate that varies, or an arm with fewer than
    two people.
    """
    known = sum(one.known for one in tallies.values())
    if not known or any(one.n < 2 for one in tallies.values()):
        return None
    middle = sum(one.before for one in tallies.values()) / known
    spreads = {arm: _spread(one, middle) for arm, one in tallies.items()}
    varies = sum(one.variance * one.weight for one in spreads.values())
    if varies <= 0.0:
        return None
    theta = sum(one.covariance * one.weight for one in spreads.values()) / varies
    moments = {arm: _without(one, theta, middle) for arm, one in spreads.items()}
    noise = sum(one.outcome.variance * one.weight for one in spreads.values())
    left = sum(moments[arm].variance * one.weight for arm, one in spreads.items())
    return Adjusted(moments, theta, 1.0 - left / noise if noise else 0.0)


def _spread(one: Tally, middle: float) -> _Spread:
    missing = one.n - one.known
    total = one.before + missing * middle
    squares = one.before_squares + missing * middle**2
    products = one.products + middle * (one.total - one.total_known)
    return _Spread(
        outcome=one.moments,
        mean=total / one.n,
        variance=max(0.0, squares - total**2 / one.n) / (one.n - 1),
        covariance=(products - total * one.total / one.n) / (one.n - 1),
    )


def _without(one: _Spread, theta: float, middle: float) -> Moments:
    left = one.outcome.variance + theta**2 * one.variance - 2.0 * theta * one.covariance
    mean = one.outcome.mean - theta * (one.mean - middle)
    return Moments(one.outcome.n, mean, max(0.0, left))
