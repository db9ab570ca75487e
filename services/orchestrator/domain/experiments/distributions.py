"""The distributions that intervals are made of: chi-square and Student's t, from their definitions.

Both are incomplete gamma and beta functions. The series and continued fractions are those of the
NIST Digital Library of Mathematical Functions (DLMF), evaluated by Lentz's method as described in
Press et al., Numerical Recipes, 3rd edition, sections 5.2, 6.2 and 6.4.
"""

import math
from collections.abc import Iterator
from itertools import count
from statistics import NormalDist

_NORMAL = NormalDist()
_TINY = 1e-300
_CLOSE = 1e-15
_EXPANDS_FROM = 100.0
"""From so many degrees of freedom the expansion of the t quantile is exact to nine digits."""


def normal_quantile(p: float) -> float:
    """The z below which a share `p`, between 0 and 1, of a standard normal lies."""
    return _NORMAL.inv_cdf(p)


def two_sided_z(alpha: float) -> float:
    """The z that a standard normal exceeds, either way, with probability `alpha`."""
    return -_NORMAL.inv_cdf(alpha / 2)


def chi_square_survival(x: float, df: int) -> float:
    """How likely a chi-square variable with `df` degrees of freedom exceeds `x`: Q(df/2, x/2)."""
    if x <= 0.0:
        return 1.0
    a, half = df / 2, x / 2
    scale = math.exp(a * math.log(half) - half - math.lgamma(a))
    if half < a + 1.0:
        return 1.0 - scale * _gamma_series(a, half)
    return scale * _continued_fraction(half + 1.0 - a, _gamma_terms(a, half))


def t_survival(t: float, df: float) -> float:
    """How likely Student's t with `df` degrees of freedom exceeds `t` (DLMF 8.17, A&S 26.7.1)."""
    tail = 0.5 * _beta(df / 2, 0.5, df / (df + t * t))
    return tail if t >= 0.0 else 1.0 - tail


def t_quantile(p: float, df: float) -> float:
    """The value that Student's t stays below with probability `p`.

    Few degrees of freedom: the survival function, inverted by halving. Many: the expansion around
    the normal quantile, Abramowitz & Stegun 26.7.5.
    """
    if p < 0.5:
        return -t_quantile(1.0 - p, df)
    if df >= _EXPANDS_FROM:
        return _expanded(normal_quantile(p), df)
    low, high = 0.0, 1.0
    while t_survival(high, df) > 1.0 - p:
        high *= 2.0
    while high - low > 1e-13 * high:
        middle = (low + high) / 2
        if middle in (low, high):
            break
        if t_survival(middle, df) > 1.0 - p:
            low = middle
        else:
            high = middle
    return high


def _expanded(z: float, df: float) -> float:
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    fourth = (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160
    return z + first / df + second / df**2 + third / df**3 + fourth / df**4


def _gamma_series(a: float, x: float) -> float:
    """The lower incomplete gamma function over its scale, DLMF 8.7.1."""
    term = total = 1.0 / a
    for step in count(1):
        term *= x / (a + step)
        total += term
        if term < total * _CLOSE:
            break
    return total


def _gamma_terms(a: float, x: float) -> Iterator[tuple[float, float]]:
    """The partial numerators and denominators of DLMF 8.9.2, in its even part."""
    for step in count(1):
        yield -step * (step - a), x + 2 * step + 1.0 - a


def _continued_fraction(first: float, terms: Iterator[tuple[float, float]]) -> float:
    """1 / (first + a1/(b1 + a2/(b2 + ...))), by the modified method of Lentz."""
    c, d = 1.0 / _TINY, 1.0 / (first or _TINY)
    value = d
    for a, b in terms:
        d = 1.0 / ((a * d + b) or _TINY)
        c = (b + a / c) or _TINY
        value *= c * d
        if abs(c * d - 1.0) < _CLOSE:
            break
    return value


def _beta(a: float, b: float, x: float) -> float:
    """The regularised incomplete beta function I_x(a, b)."""
    if x <= 0.0 or x >= 1.0:
        return min(1.0, max(0.0, x))
    log_scale = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    scale = math.exp(log_scale + a * math.log(x) + b * math.log1p(-x))
    if x < (a + 1.0) / (a + b + 2.0):
        return scale / a * _continued_fraction(1.0, _beta_terms(a, b, x))
    return 1.0 - scale / b * _continued_fraction(1.0, _beta_terms(b, a, 1.0 - x))


def _beta_terms(a: float, b: float, x: float) -> Iterator[tuple[float, float]]:
    """The partial numerators of DLMF 8.17.22; every denominator is 1."""
    for step in count():
        if step:
            yield step * (b - step) * x / ((a + 2 * step - 1) * (a + 2 * step)), 1.0
        yield -(a + step) * (a + b + step) * x / ((a + 2 * step) * (a + 2 * step + 1)), 1.0
