"""Whoever looks a person up writes the identifier as freely as whoever publishes an event.

Intake and profile API are separate services and know nothing of each other; here they are held to
one form.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.domain.identifiers import normalise
from services.profile.api.identifier_value import normalised

TYPES = ("user_id", "email", "phone", "loyalty_id", "anonymous_id", "device_id", "card")
WRITTEN = [
    " Ada@Example.COM ",
    "ÅDA@example.com",
    "ﬁ@example.com",  # a ligature
    "+33 6 12 34 56 78",
    "+33612345678",
    "tel:+33612345678",
    "0612345678",
    "+1 (212) 555-0100 ext. 5",
    " U 1 ",
    "\u00a0x\u3000",
    "Straße",
]


def assert_same_form(type_: str, written: str) -> None:
    value, refused = normalise(type_, written, None)
    if refused is None:
        assert normalised(type_, written) == value


@pytest.mark.parametrize("type_", TYPES)
@pytest.mark.parametrize("written", WRITTEN)
def test_a_value_has_one_form_at_both_doors(type_: str, written: str) -> None:
    assert_same_form(type_, written)


@given(st.sampled_from(TYPES), st.text(max_size=40))
def test_any_value_has_one_form_at_both_doors(type_: str, written: str) -> None:
    assert_same_form(type_, written)


@given(st.from_regex(r"\+[0-9 ()-]{6,16}", fullmatch=True))
def test_any_telephone_has_one_form_at_both_doors(written: str) -> None:
    assert_same_form("phone", written)
