"""Intervals against examples that were published."""

import pytest

from services.orchestrator.domain.experiments.intervals import (
    Interval,
    newcombe,
    newcombe_p,
    people_needed,
    relative,
    welch,
    welch_freedom,
    welch_p,
)
from services.orchestrator.domain.experiments.sequential import (
    half_width,
    mixture,
    sequence,
    share_error,
)
from services.orchestrator.domain.experiments.tally import Moments, Tally
from tests.unit.orchestrator.experiments.build import conversions

GROWTHBOOK = (
    Tally(n=3407, total=1396.87, squares=52377.9767).moments,
    Tally(n=3461, total=2422.7, squares=134698.29).moments,
)
"""The two samples of GrowthBook's own tests (gbstats, test_two_sided_ttest_absolute)."""


@pytest.mark.parametrize(
    ("arm", "control", "published"),
    [  # Newcombe 1998, Statistics in Medicine 17:873-890, table II, method 10
        ((56, 70), (48, 80), (0.0524, 0.3339)),
        ((9, 10), (3, 10), (0.1705, 0.8090)),
        ((6, 7), (2, 7), (0.0582, 0.8062)),
        ((5, 56), (0, 29), (-0.0381, 0.1926)),
        ((0, 10), (0, 20), (-0.1611, 0.2775)),
        ((0, 10), (0, 10), (-0.2775, 0.2775)),
        ((10, 10), (0, 20), (0.6791, 1.0)),
        ((10, 10), (0, 10), (0.6075, 1.0)),
    ],
)
def test_the_interval_of_a_difference_of_shares(
    arm: tuple[int, int], control: tuple[int, int], published: tuple[float, float]
) -> None:
    found = newcombe(control, arm, 0.05)
    assert found == pytest.approx(published, abs=5e-5)
    assert newcombe(arm, control, 0.05) == pytest.approx((-published[1], -published[0]), abs=5e-5)
    assert (newcombe_p(control, arm) < 0.05) is found.excludes_zero


def test_p_is_where_the_interval_touches_zero() -> None:
    control, arm = (48, 80), (56, 70)
    p = newcombe_p(control, arm)
    assert newcombe(control, arm, p).low == pytest.approx(0.0, abs=1e-12)
    assert newcombe_p(arm, control) == pytest.approx(p)
    assert newcombe_p((5, 10), (50, 100)) == 1.0
    assert newcombe_p((0, 1_000_000), (900_000, 1_000_000)) < 1e-100


def test_the_interval_of_a_difference_of_means() -> None:
    # NIST AUTO83B, miles per gallon of cars from the US and from Japan, unequal variances
    us, japan = Moments(249, 20.14458, 6.41470**2), Moments(79, 30.48101, 6.10771**2)
    assert welch_freedom(japan, us) == pytest.approx(136.8750, abs=1e-4)
    error = (us.squared_error + japan.squared_error) ** 0.5
    assert (us.mean - japan.mean) / error == pytest.approx(-12.94627, abs=1e-5)
    assert welch_p(japan, us) < 1e-20
    # GrowthBook, test_two_sided_ttest_absolute
    assert welch(*GROWTHBOOK, 0.05) == pytest.approx((0.04538, 0.53462), abs=5e-6)
    assert welch_p(*GROWTHBOOK) == pytest.approx(0.02016, abs=5e-6)
    p = welch_p(*GROWTHBOOK)
    assert welch(*GROWTHBOOK, p).low == pytest.approx(0.0, abs=1e-9)


def test_means_that_do_not_vary_have_no_width() -> None:
    still, other = Moments(10, 2.0, 0.0), Moments(10, 3.0, 0.0)
    assert welch(still, still, 0.05) == Interval(0.0, 0.0)
    assert (welch_p(still, still), welch_p(still, other)) == (1.0, 0.0)


def test_the_interval_of_a_ratio() -> None:
    # The Physicians' Health Study, heart attacks by placebo and aspirin: Agresti, Categorical Data
    # Analysis, 2nd edition, section 3.1: 1.82 with 1.43 to 2.31, difference 0.005 to 0.011
    aspirin, placebo = (104, 11_037), (189, 11_034)
    ratio = relative(conversions(*aspirin[::-1]).moments, conversions(*placebo[::-1]).moments, 0.05)
    assert ratio == pytest.approx((0.43, 1.31), abs=5e-3)
    assert newcombe(aspirin, placebo, 0.05) == pytest.approx((0.005, 0.011), abs=5e-4)
    assert relative(Moments(10, 0.0, 0.0), Moments(10, 1.0, 1.0), 0.05) is None
    assert relative(Moments(10, 1.0, 1.0), Moments(10, -1.0, 1.0), 0.05) is None


@pytest.mark.parametrize(
    ("error", "planned", "published"),
    [  # GrowthBook, gbstats: half of the sequential intervals on 6,461 people
        (0.33341, 1_000, (1.56516 + 0.55844) / 2),
        (0.03386, 5_000, (0.60675 - 0.40098) / 2),
        (0.30930, 5_000, (1.44217 + 0.43745) / 2),
    ],
)
def test_the_interval_for_any_number_of_looks(error: float, planned: int, published: float) -> None:
    assert half_width(error, 6_461, planned=planned, alpha=0.05) == pytest.approx(
        published, abs=3e-5
    )


def test_the_sequential_interval_is_tightest_where_it_was_planned() -> None:
    at = {planned: half_width(1.0, 6_461, planned=planned, alpha=0.05)
          for planned in (10, 600, 6_461, 60_000, 10**7)}  # fmt: skip
    assert min(at, key=lambda planned: at[planned]) == 6_461
    assert all(half > 1.96 for half in at.values())
    assert mixture(2_000, 0.05) == pytest.approx(mixture(1_000, 0.05) / 2)
    low, high = sequence(0.2, 0.1, 6_461, planned=6_461, alpha=0.05)
    assert (low + high) / 2 == pytest.approx(0.2)


def test_shares_of_zero_still_have_an_error() -> None:
    assert share_error((0, 100), (0, 100)) == pytest.approx(
        (2 * (1 / 102) * (101 / 102) / 102) ** 0.5
    )


def test_how_many_people_are_needed() -> None:
    # R, help(power.prop.test): 76.7 people in each group; and a common question about 5 % and 6 %
    assert people_needed(0.50, 0.75, power=0.90) == 77
    assert people_needed(0.05, 0.06) == people_needed(0.06, 0.05) == 8_158
