"""Intervals that hold for one look at data whose size was fixed before: of a difference of shares,
of a difference of means, and of a ratio of means; and how large that size has to be.
"""

import math
from typing import NamedTuple

from services.orchestrator.domain.experiments.distributions import (
    normal_quantile,
    t_quantile,
    t_survival,
    two_sided_z,
)
from services.orchestrator.domain.experiments.tally import Moments

_HALVINGS = 60
_FARTHEST = 40.0
"""The z beyond which the probability of a normal is no number any more."""


class Interval(NamedTuple):
    """From low to high, both included."""

    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether it lies on one side of zero."""
        return self.low > 0.0 or self.high < 0.0

    def times(self, factor: float) -> "Interval":
        """Both ends times a factor that is not negative."""
        return Interval(self.low * factor, self.high * factor)


def newcombe(control: tuple[float, int], arm: tuple[float, int], alpha: float) -> Interval:
    """Of the share of `arm` less that of `control`, each as (successes, n).

    The hybrid of two score intervals, method 10 of Newcombe 1998, Statistics in Medicine
    17:873-890.
    """
    return _newcombe(control, arm, two_sided_z(alpha))


def newcombe_p(control: tuple[float, int], arm: tuple[float, int]) -> float:
    """The level at which `newcombe` just touches zero, so that both always say the same."""
    if control[0] * arm[1] == arm[0] * control[1]:
        return 1.0
    low, high = 0.0, _FARTHEST
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if _newcombe(control, arm, middle).excludes_zero:
            low = middle
        else:
            high = middle
    return math.erfc(low / math.sqrt(2.0))


def welch(control: Moments, arm: Moments, alpha: float) -> Interval:
    """Of the mean of `arm` less that of `control`, with variances of their own (Welch 1947,
    Biometrika 34:28-35; degrees of freedom by Satterthwaite 1946, Biometrics Bulletin 2:110-114).
    """
    error = math.sqrt(control.squared_error + arm.squared_error)
    half = t_quantile(1.0 - alpha / 2, welch_freedom(control, arm)) * error if error else 0.0
    return Interval(arm.mean - control.mean - half, arm.mean - control.mean + half)


def welch_p(control: Moments, arm: Moments) -> float:
    """The level at which `welch` just touches zero."""
    difference = abs(arm.mean - control.mean)
    error = math.sqrt(control.squared_error + arm.squared_error)
    if not error:
        return 1.0 if not difference else 0.0
    return min(1.0, 2.0 * t_survival(difference / error, welch_freedom(control, arm)))


def welch_freedom(control: Moments, arm: Moments) -> float:
    """The degrees of freedom of the difference; both must have two people or more and not both a
    variance of 0."""
    parts = [(one.squared_error, one.n - 1) for one in (control, arm)]
    return sum(part for part, _ in parts) ** 2 / sum(part**2 / df for part, df in parts)


def relative(control: Moments, arm: Moments, alpha: float) -> Interval | None:
    """Of the mean of `arm` over that of `control`, less 1: the relative lift.

    On the scale of the logarithm, by the delta method (Katz et al. 1978, Biometrics 34:469-474).
    None unless both means are above 0.
    """
    if control.mean <= 0.0 or arm.mean <= 0.0:
        return None
    error = math.sqrt(sum(one.squared_error / one.mean**2 for one in (control, arm)))
    middle, half = math.log(arm.mean / control.mean), two_sided_z(alpha) * error
    return Interval(math.exp(middle - half) - 1.0, math.exp(middle + half) - 1.0)


def people_needed(share: float, hoped: float, *, alpha: float = 0.05, power: float = 0.8) -> int:
    """How many people in each of two arms show a share that goes from `share` to `hoped`, with
    probability `power` (Fleiss, Levin & Paik 2003, Statistical Methods for Rates and Proportions,
    section 4.2, without continuity correction)."""
    middle = (share + hoped) / 2
    null = two_sided_z(alpha) * math.sqrt(2 * middle * (1 - middle))
    other = normal_quantile(power) * math.sqrt(share * (1 - share) + hoped * (1 - hoped))
    return math.ceil(((null + other) / (hoped - share)) ** 2)


def _wilson(successes: float, n: int, z: float) -> Interval:
    """The score interval of a share (Wilson 1927, JASA 22:209-212); stays within 0 and 1."""
    share, square = successes / n, z * z
    middle = (share + square / (2 * n)) / (1 + square / n)
    half = z * math.sqrt(share * (1 - share) / n + square / (4 * n * n)) / (1 + square / n)
    return Interval(max(0.0, middle - half), min(1.0, middle + half))


def _newcombe(control: tuple[float, int], arm: tuple[float, int], z: float) -> Interval:
    first, second = _wilson(*control, z), _wilson(*arm, z)
    was, now = control[0] / control[1], arm[0] / arm[1]
    return Interval(
        now - was - math.hypot(now - second.low, first.high - was),
        now - was + math.hypot(second.high - now, was - first.low),
    )
