"""Whoever looks a person up writes the identifier as freely as whoever publishes an event."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contracts.identifier_form import form_of, plain

TYPES = ("user_id", "email", "phone", "loyalty_id", "anonymous_id", "profile_id", "card")


def form(type_: str, written: str, region: str | None = None) -> str | None:
    return form_of(type_, plain(written), region)


@pytest.mark.parametrize(
    ("type_", "written", "region", "expected"),
    [
        ("email", " Ada@Example.COM ", None, "ada@example.com"),
        ("email", "ÅDA@example.com", None, "åda@example.com"),
        ("email", "ﬁ@example.com", None, "fi@example.com"),
        ("email", "ada", None, None),
        ("phone", "tel:+33 6 12 34 56 78", None, "+33612345678"),
        ("phone", "06 12 34 56 78", "FR", "+33612345678"),
        ("phone", "0612345678", None, None),
        ("phone", "+1 (212) 555-0100 ext. 5", None, None),
        ("user_id", " U 1 ", None, "U 1"),
        ("card", "\u00a0x\u3000", None, "x"),
        ("profile_id", "0193ABCD00007000800000000000000A", None,
         "0193abcd-0000-7000-8000-00000000000a"),
        ("profile_id", "u1", None, None),
        ("phone", "+200000000000", None, None),
    ],
)  # fmt: skip
def test_a_value_in_its_form(
    type_: str, written: str, region: str | None, expected: str | None
) -> None:
    assert form(type_, written, region) == expected


@given(st.sampled_from(TYPES), st.text(max_size=40) | st.from_regex(r"\+[0-9 ()-]{6,16}"))
def test_a_form_in_its_form_is_itself(type_: str, written: str) -> None:
    found = form(type_, written)
    assert found is None or form(type_, found) == found
