"""Ingest and profile know nothing of each other; who is nobody, and who is strongest, is one."""

from itertools import pairwise

import pytest

from services.ingest.domain.identifiers import normalise, strongest
from services.profile.domain.identity import IdentityRules, is_blocked
from shared.contracts.identifiers import NOBODY
from shared.contracts.touchpoint import Identifier

WRITTEN = ("", " ", "\t0\n", "000-000", "+0", "'null'", '"Guest"', "N/A", "userId", "void", "Nil")
SOMEBODY = ("u1", "0a", "guest-17", "nobody", "idée", "+33612345678")


@pytest.mark.parametrize("value", [*sorted(NOBODY), *WRITTEN])
def test_what_names_nobody_is_refused_by_both(value: str) -> None:
    assert normalise("user_id", value, None)[1] == "blocked"
    assert is_blocked(value)


@pytest.mark.parametrize("value", SOMEBODY)
def test_what_names_somebody_is_taken_by_both(value: str) -> None:
    assert normalise("user_id", value, None) == (value, None)
    assert not is_blocked(value)


def test_both_agree_on_the_strongest() -> None:
    types = ["user_id", "email", "loyalty_id", "phone", "anonymous_id", "device_id"]
    assert sorted(types, key=IdentityRules().type_order) == types
    for stronger, weaker in pairwise(types):
        pair = [Identifier(weaker, "a"), Identifier(stronger, "z")]
        assert strongest(pair) == pair[1]
