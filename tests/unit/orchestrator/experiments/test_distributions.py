"""The distributions against printed tables."""

import math

import pytest

from services.orchestrator.domain.experiments.distributions import (
    chi_square_survival,
    normal_quantile,
    t_quantile,
    t_survival,
    two_sided_z,
)


@pytest.mark.parametrize(
    ("df", "upper"),
    [  # NIST/SEMATECH e-Handbook 1.3.6.7.4: exceeded with probability 0.10, 0.05, 0.01, 0.001
        (1, (2.706, 3.841, 6.635, 10.828)),
        (2, (4.605, 5.991, 9.210, 13.816)),
        (3, (6.251, 7.815, 11.345, 16.266)),
        (9, (14.684, 16.919, 21.666, 27.877)),
        (10, (15.987, 18.307, 23.209, 29.588)),
        (30, (40.256, 43.773, 50.892, 59.703)),
        (99, (117.407, 123.225, 134.642, 148.230)),
    ],
)
def test_chi_square_is_that_of_the_table(df: int, upper: tuple[float, ...]) -> None:
    for x, p in zip(upper, (0.10, 0.05, 0.01, 0.001), strict=True):
        assert chi_square_survival(x, df) == pytest.approx(p, rel=1e-3)


def test_chi_square_has_its_closed_forms() -> None:
    for x in (0.01, 0.5, 1.0, 3.0, 8.0, 40.0, 300.0):
        assert chi_square_survival(x, 2) == pytest.approx(math.exp(-x / 2), rel=1e-12)
        assert chi_square_survival(x, 1) == pytest.approx(math.erfc(math.sqrt(x / 2)), rel=1e-11)
        four = math.exp(-x / 2) * (1 + x / 2)
        assert chi_square_survival(x, 4) == pytest.approx(four, rel=1e-12)
    assert chi_square_survival(0.0, 3) == chi_square_survival(-1.0, 3) == 1.0


@pytest.mark.parametrize(
    ("df", "upper"),
    [  # NIST/SEMATECH e-Handbook 1.3.6.7.2: below it with probability 0.90, 0.95, 0.975, 0.995
        (1, (3.078, 6.314, 12.706, 63.657)),
        (2, (1.886, 2.920, 4.303, 9.925)),
        (5, (1.476, 2.015, 2.571, 4.032)),
        (10, (1.372, 1.812, 2.228, 3.169)),
        (30, (1.310, 1.697, 2.042, 2.750)),
        (99, (1.290, 1.660, 1.984, 2.626)),
        (100, (1.290, 1.660, 1.984, 2.626)),
    ],
)
def test_t_is_that_of_the_table(df: int, upper: tuple[float, ...]) -> None:
    for x, p in zip(upper, (0.90, 0.95, 0.975, 0.995), strict=True):
        assert t_quantile(p, df) == pytest.approx(x, abs=6e-4, rel=1e-5)
        assert t_quantile(1 - p, df) == pytest.approx(-x, abs=6e-4, rel=1e-5)


def test_t_has_its_closed_forms_and_becomes_the_normal() -> None:
    for t in (0.0, 0.3, 1.0, 4.0, 100.0):
        assert t_survival(t, 1) == pytest.approx(0.5 - math.atan(t) / math.pi, rel=1e-10)
        two = 0.5 * (1 - t / math.sqrt(2 + t * t))
        assert t_survival(t, 2) == pytest.approx(two, rel=1e-9)
        assert t_survival(-t, 2) == pytest.approx(1 - two, rel=1e-12)
    assert t_quantile(0.975, 1e12) == pytest.approx(normal_quantile(0.975), rel=1e-10)
    assert t_survival(1.5, 1e7) == pytest.approx(0.5 * math.erfc(1.5 / math.sqrt(2)), rel=1e-6)


@pytest.mark.parametrize("df", [1.5, 7.3, 40.0, 99.9, 100.0, 136.875, 2_500.0, 1e5])
@pytest.mark.parametrize("p", [0.6, 0.95, 0.975, 0.9995])
def test_the_t_quantile_undoes_the_survival(p: float, df: float) -> None:
    assert t_survival(t_quantile(p, df), df) == pytest.approx(1 - p, rel=5e-8)


def test_the_normal_is_that_of_the_table() -> None:
    assert two_sided_z(0.05) == pytest.approx(1.959963985)
    assert two_sided_z(0.001) == pytest.approx(3.290526731)
