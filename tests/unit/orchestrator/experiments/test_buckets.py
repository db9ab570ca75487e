"""Buckets: frozen, uniform, sticky, shared in a layer and independent between layers."""

from collections import Counter
from uuid import UUID

import pytest

from services.orchestrator.domain.buckets import BUCKETS, bucket
from services.orchestrator.domain.experiments.distributions import chi_square_survival
from services.orchestrator.domain.experiments.layers import (
    Span,
    claim,
    holds,
    layer_bucket,
    size,
)
from services.orchestrator.domain.experiments.split import SPLIT, Share, split
from services.orchestrator.domain.holdout import UNIVERSAL
from shared.errors import Conflict

PEOPLE = [str(UUID(int=0x018F_0000_0000_7000_8000_0000_0000_0000 + n)) for n in range(20_000)]
ONE = "018f2f9e-0000-7000-8000-000000000001"
TWO = "018f2f9e-0000-7000-8000-000000000002"
LAST = "018f2f9e-ffff-7fff-bfff-ffffffffffff"


@pytest.mark.parametrize(
    ("salt", "layer", "unit", "place"),
    [
        ("2026-h2", "universal", ONE, 2533),
        ("2026-h2", "universal", TWO, 8414),
        ("2026-h2", "universal", LAST, 2647),
        ("2026-h2", "universal", "a", 9820),
        ("2026-h2", "universal", "zoë", 141),
        ("cart-2026q4", "rule", ONE, 8669),
        ("cart-2026q4", "rule", TWO, 6253),
        ("cart-2026q4", "rule", LAST, 2424),
        ("cart-2026q4", "rule", "a", 2821),
        ("cart-2026q4", "rule", "zoë", 2649),
        ("cart", "layer", ONE, 1256),
        ("cart", "layer", TWO, 2412),
        ("cart", "layer", LAST, 546),
        ("cart", "layer", "a", 8235),
        ("cart", "layer", "zoë", 338),
        ("cart-test", "split", ONE, 271),
        ("cart-test", "split", TWO, 7612),
        ("cart-test", "split", LAST, 7247),
        ("cart-test", "split", "a", 9011),
        ("cart-test", "split", "zoë", 1971),
    ],
)
def test_a_bucket_is_what_it_was_for_ever(salt: str, layer: str, unit: str, place: int) -> None:
    assert bucket(salt, layer, unit) == place


@pytest.mark.parametrize(
    ("salt", "layer"), [("cart", "layer"), ("cart-test", SPLIT), ("2026-h2", UNIVERSAL)]
)
def test_buckets_are_uniform(salt: str, layer: str) -> None:
    found = Counter(bucket(salt, layer, unit) * 100 // BUCKETS for unit in PEOPLE)
    expected = len(PEOPLE) / 100
    distance = sum((found[cell] - expected) ** 2 / expected for cell in range(100))
    assert chi_square_survival(distance, 99) > 0.01
    assert chi_square_survival(distance, 99) < 0.99, "too even to be a hash"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("cart", "layer"), ("mail", "layer")),
        (("cart-test", SPLIT), ("mail-test", SPLIT)),
        (("cart", "layer"), ("cart", SPLIT)),
        (("2026-h2", UNIVERSAL), ("cart-test", SPLIT)),
    ],
)
def test_where_somebody_is_in_one_layer_says_nothing_about_another(
    one: tuple[str, str], other: tuple[str, str]
) -> None:
    cells = Counter(
        (bucket(*one, unit) * 5 // BUCKETS, bucket(*other, unit) * 5 // BUCKETS) for unit in PEOPLE
    )
    rows, columns = Counter[int](), Counter[int]()
    for (row, column), many in cells.items():
        rows[row] += many
        columns[column] += many
    distance = 0.0
    for row in range(5):
        for column in range(5):
            expected = rows[row] * columns[column] / len(PEOPLE)
            distance += (cells[row, column] - expected) ** 2 / expected
    assert chi_square_survival(distance, 16) > 0.01


def test_a_split_is_dealt_out_in_order() -> None:
    found = split({"a": 33.33, "b": 0, "c": 66.67})
    assert found.shares == (Share(0, 3_333, "a"), Share(3_333, 10_000, "c"))
    assert [found.at(place) for place in (0, 3_332, 3_333, 9_999)] == ["a", "a", "c", "c"]
    assert found.of("cart-test", ONE) == ("a", 271)
    with pytest.raises(ValueError, match=r"sum to 99\.99"):
        split({"a": 50, "b": 49.99})


def test_whose_share_grows_keeps_everybody_and_takes_from_those_that_shrink() -> None:
    before = split({"a": 33.34, "b": 33.33, "c": 33.33})
    after = split({"a": 40, "b": 50, "c": 10}, before)
    moved = Counter(
        (before.at(place), after.at(place))
        for place in range(BUCKETS)
        if before.at(place) != after.at(place)
    )
    assert moved == {("c", "a"): 666, ("c", "b"): 1_667}


def test_a_new_share_takes_as_little_as_it_needs_and_one_that_goes_leaves_all() -> None:
    before = split({"a": 50, "b": 50})
    third = split({"a": 40, "b": 40, "c": 20}, before)
    assert all(third.at(place) in (before.at(place), "c") for place in range(BUCKETS)), (
        "nobody moves between the old ones"
    )
    gone = split({"a": 50, "c": 50}, third)
    assert all(gone.at(place) == third.at(place) for place in range(BUCKETS)
               if third.at(place) != "b")  # fmt: skip
    assert split({"a": 50, "b": 50}, before) == before


def test_a_ramp_only_adds_people() -> None:
    small = claim(5, (), {})
    assert small == (Span(0, 500),)
    large = claim(50, small, {"other": (Span(600, 1_000),)})
    assert large == (Span(0, 600), Span(1_000, 5_400))
    assert size(large) == 50
    assert claim(5, large, {}) == small
    assert [holds(large, place) for place in (0, 599, 600, 1_000, 5_399, 5_400)] == [
        True, True, False, True, True, False,
    ]  # fmt: skip


def test_a_full_layer_says_who_holds_it() -> None:
    others = {"b": (Span(0, 6_000),), "a": (Span(6_000, 8_000),), "idle": ()}
    assert size(claim(20, (), others)) == 20
    with pytest.raises(Conflict, match=r"has 20 % left, 20\.01 % are asked for: a 20 %, b 60 %$"):
        claim(20.01, (), others)


def test_a_layer_has_its_name_for_a_salt() -> None:
    assert layer_bucket("cart", ONE) == bucket("cart", "layer", ONE) == 1256
