"""An interval that holds however often one looks, and whenever one stops.

The asymptotic confidence sequence of Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas, "Time-uniform
central limit theory and asymptotic confidence sequences" (Annals of Statistics 52, 2024): a normal
mixture, tightest at the number of people that was planned. It is wider than the interval for one
look: that is the price of looking.
"""

import math

from services.orchestrator.domain.experiments.intervals import Interval

FEWEST = 100
"""As many people in each arm before it is said at all: the theory is one of large numbers."""


def sequence(difference: float, error: float, n: int, *, planned: int, alpha: float) -> Interval:
    """The interval around a difference with a standard error, seen on `n` people in all arms that
    are compared; `planned` people are where it is tightest."""
    half = half_width(error, n, planned=planned, alpha=alpha)
    return Interval(difference - half, difference + half)


def half_width(error: float, n: int, *, planned: int, alpha: float) -> float:
    """Half the width: theorem 2.2 of the paper, with the standard error in place of s / sqrt(n)."""
    grown = n * mixture(planned, alpha) + 1.0
    return error * math.sqrt(2.0 * grown / (grown - 1.0) * math.log(math.sqrt(grown) / alpha))


def mixture(planned: int, alpha: float) -> float:
    """The variance of the mixture (rho squared) that makes it tight at `planned` people."""
    log = -2.0 * math.log(alpha)
    return (log + math.log(log + 1.0)) / planned


def share_error(control: tuple[float, int], arm: tuple[float, int]) -> float:
    """The standard error of a difference of two shares, each with one success and one failure more
    (Agresti & Caffo 2000, American Statistician 54:280-288): never 0 where nobody converted yet."""
    total = 0.0
    for successes, n in (control, arm):
        share = (successes + 1.0) / (n + 2.0)
        total += share * (1.0 - share) / (n + 2.0)
    return math.sqrt(total)
