"""Identifiers in one form; what names nobody is none."""

import pytest

from services.ingest.domain.identifiers import (
    normalise,
    normalise_all,
    strongest,
)
from shared.contracts.identifiers import MAX_PER_TOUCHPOINT, MAX_VALUE
from shared.contracts.touchpoint import Identifier
from shared.errors import InvalidData


@pytest.mark.parametrize(
    ("type_", "given", "region", "normalised"),
    [
        ("user_id", " u1 ", None, "u1"),
        ("user_id", "Ada", None, "Ada"),
        ("user_id", "ｕ１", None, "u1"),
        ("email", " Ada.L+x@Example.COM ", None, "ada.l+x@example.com"),
        ("email", "ADA@ＢＣ.org", None, "ada@bc.org"),
        ("phone", "+33 6 12 34 56 78", None, "+33612345678"),
        ("phone", "06 12 34 56 78", "FR", "+33612345678"),
        ("phone", "(415) 555-2671", "US", "+14155552671"),
        ("loyalty_id", "00012", None, "00012"),
        (
            "profile_id",
            "0193ABCD-0000-7000-8000-000000000001",
            None,
            "0193abcd-0000-7000-8000-000000000001",
        ),
    ],
)
def test_a_value_in_its_one_form(
    type_: str, given: str, region: str | None, normalised: str
) -> None:
    assert normalise(type_, given, region) == (normalised, None)
    assert normalise(type_, normalised, region) == (normalised, None)


@pytest.mark.parametrize(
    ("type_", "given", "reason"),
    [
        *(
            ("user_id", value, "blocked")
            for value in (
                *("", "  ", "0", "000-000", "-1", "null", "NULL", "undefined", "None", "NaN"),
                *("anonymous", "Guest", "[object Object]", '"null"', "'0'", "n/a", "true", "ｎull"),
                "00000000-0000-0000-0000-000000000000",
            )
        ),
        ("user_id", None, "blocked"),
        ("phone", "0000000000", "blocked"),
        ("phone", "06 12 34 56 78", "invalid"),
        ("phone", "12", "invalid"),
        ("phone", "+14155552671 ext. 5", "invalid"),
        ("email", "ada", "invalid"),
        ("email", "ada @b.c", "invalid"),
        ("profile_id", "u1", "invalid"),
        ("user_id", "x" * (MAX_VALUE + 1), "too_long"),
    ],
)
def test_a_value_that_is_no_identifier_has_a_reason(
    type_: str, given: str | None, reason: str
) -> None:
    assert normalise(type_, given, None)[1] == reason


def test_equal_values_count_once_and_dropped_ones_are_told() -> None:
    kept, dropped = normalise_all(
        [("email", "A@b.c"), ("email", "a@B.C"), ("user_id", "null"), ("user_id", "u1")], None
    )
    assert kept == [Identifier("email", "a@b.c"), Identifier("user_id", "u1")]
    assert dropped == [{"type": "user_id", "value": "null", "reason": "blocked"}]


def test_too_many_identifiers_refuse_the_event() -> None:
    candidates = [("cookie", f"c{n}") for n in range(MAX_PER_TOUCHPOINT + 1)]
    with pytest.raises(InvalidData) as refused:
        normalise_all(candidates, None)
    assert refused.value.reason == "spec_violation"


def test_the_strongest_does_not_depend_on_order() -> None:
    ranked = [
        Identifier("profile_id", "p"),
        Identifier("user_id", "u"),
        Identifier("email", "a@b.c"),
        Identifier("email", "b@b.c"),
        Identifier("loyalty_id", "1"),
        Identifier("anonymous_id", "a"),
    ]
    for start, first in enumerate(ranked):
        assert strongest(ranked[start:]) == first
        assert strongest(ranked[start:][::-1]) == first
    assert strongest([]) is None
