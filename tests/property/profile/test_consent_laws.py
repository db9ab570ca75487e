"""Consents: any order of the same words gives the same record, and a merge never permits more."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from services.profile.domain.consent import (
    Confirmation,
    ConsentRecord,
    Consents,
    about,
    holding,
    later,
    most_restrictive,
)
from services.profile.domain.consent_change import ConsentChange, apply_changes
from services.profile.domain.divide import divide_consents
from shared.contracts.consents import consents_at
from shared.contracts.profile_update import Consent

instants = st.integers(1, 9).map(lambda day: f"2026-11-0{day}T00:00:00.000Z")
purposes = st.sampled_from(["news", "ads", "*", "*stop"])
channels = st.sampled_from(["email", "sms", "*"])


def possible(one: ConsentRecord) -> ConsentRecord:
    """A record as words make them: a denial has no end, and a grant is later than every denial."""
    if one.said == "denied":
        return msgspec.structs.replace(one, denied_at=None, expires_at=None, double_opt_in=False)
    if one.denied_at is not None and one.denied_at >= one.at:
        return msgspec.structs.replace(one, denied_at=None)
    return one


records = st.builds(
    ConsentRecord,
    st.sampled_from(["granted", "denied"]),
    instants,
    st.sampled_from([None, "consent"]),
    st.sampled_from([None, "v1"]),
    st.one_of(st.none(), instants),
    st.sampled_from([None, "a", "b"]),
    st.booleans(),
    st.one_of(st.none(), instants),
    st.one_of(st.none(), st.builds(Confirmation, instants)),
    st.booleans(),
).map(possible)
consents = st.dictionaries(st.tuples(purposes, channels).map("\0".join), records, max_size=6)
changes = st.builds(
    ConsentChange,
    st.sampled_from(["news", "ads"]),
    channels,
    st.sampled_from(["granted", "denied"]),
    st.sampled_from([None, "consent"]),
    st.none(),
    st.one_of(st.none(), instants),
    instants,
    st.booleans(),
)
MILDER = (None, "expired", "granted", "pending", "denied")


@given(records, records, records)
def test_the_later_word_is_the_same_in_any_order(
    a: ConsentRecord, b: ConsentRecord, c: ConsentRecord
) -> None:
    assert later(a, b) == later(b, a)
    assert later(later(a, b), c) == later(a, later(b, c))
    assert later(a, a) == a


@given(consents, consents, consents)
def test_a_merge_is_the_same_in_any_order(a: Consents, b: Consents, c: Consents) -> None:
    assert most_restrictive(a, b) == most_restrictive(b, a)
    assert most_restrictive(most_restrictive(a, b), c) == most_restrictive(
        a, most_restrictive(b, c)
    )
    assert most_restrictive(a, a) == a


@given(consents, consents, purposes, channels, instants)
def test_a_merge_turns_no_denial_and_permits_nothing_that_neither_permitted(
    a: Consents, b: Consents, purpose: str, channel: str, at: str
) -> None:
    asked = (purpose, channel)
    united = holding(most_restrictive(a, b), at).get(asked)
    either = [holding(a, at).get(asked), holding(b, at).get(asked)]
    if "denied" in either:
        assert united == "denied"
    if united == "granted":
        assert "granted" in either


@given(st.lists(changes, max_size=8), st.randoms(use_true_random=False))
def test_any_order_of_words_gives_the_same_state(said: list[ConsentChange], random: object) -> None:
    shuffled = list(said)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    found = []
    for order in (said, shuffled, [*said, *shuffled]):
        held: Consents = {}
        for one in order:
            apply_changes(held, [one], "2026-12-01T00:00:00.000Z", lambda _: "proof")
        found.append(dict(sorted(held.items())))
    assert found[0] == found[1] == found[2]


@given(consents, purposes, channels, instants)
def test_the_snapshot_permits_what_the_profile_does(
    held: Consents, purpose: str, channel: str, at: str
) -> None:
    wire = [
        Consent(*about(key), one.status, one.basis, one.at, None, one.expires_at)
        for key, one in held.items()
    ]
    asked = (purpose, channel)
    assert consents_at(wire, at).get(asked) == holding(held, at).get(asked)


@given(consents, consents)
def test_an_undone_merge_gives_both_sides_what_they_had(a: Consents, b: Consents) -> None:
    assert divide_consents(most_restrictive(a, b), a, b) == (a, b)
