"""A native event that names no person may say by a condition who is meant."""

from typing import Any

import pytest

from services.ingest.domain.audience import COPY_BYTES, MAX_ID
from shared.contracts.topics import EVENT_MAX_BYTES
from shared.contracts.touchpoint import touchpoint_encoder
from tests.unit.ingest.reading import NATIVE, read, refusal

LYON = {"attr": "profile.city", "op": "eq", "value": "Lyon"}
BROADCAST: dict[str, Any] = {
    **{name: value for name, value in NATIVE.items() if name != "identifiers"},
    "audience": LYON,
}


def test_the_touchpoint_carries_the_condition() -> None:
    touchpoint = read(BROADCAST)
    assert touchpoint.audience == LYON
    assert touchpoint.identifiers == []
    assert "audience" not in str(touchpoint.context)
    assert read({**BROADCAST, "identifiers": []}) == touchpoint


def test_without_an_audience_the_bytes_are_as_ever() -> None:
    assert b"audience" not in touchpoint_encoder.encode(read({**NATIVE, "audience": None}))


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"identifiers": NATIVE["identifiers"]}, "audience"),
        ({"audience": []}, "audience"),
        ({"audience": {"all": [LYON, {"attr": "profile.x", "op": "eq"}]}}, "audience.all[1].value"),
        ({"audience": {"event": "Order Completed"}}, "audience.event"),
        ({"id": "x" * (MAX_ID + 1)}, "id"),
    ],
)
def test_a_mistake_is_refused_with_its_place(change: dict[str, Any], path: str) -> None:
    error = refusal({**BROADCAST, **change})
    assert (error.reason, error.path) == ("spec_violation", path)


def test_a_refusal_says_the_rules_and_how_many_more() -> None:
    asked = [{"attr": f"event.n{n}", "op": "exists", "value": True} for n in range(5)]
    error = refusal({**BROADCAST, "audience": {"any": asked}})
    said = "an audience is asked about profiles: there is no event of theirs (profile_only)"
    assert error.detail == (
        f"{said}; audience.any[1].attr: {said}; audience.any[2].attr: {said}; and 2 more"
    )


def test_segments_and_personas_are_asked_where_the_profiles_are() -> None:
    audience = {"all": [{"segment": "vip"}, {"not": {"persona": "saver"}}]}
    assert read({**BROADCAST, "audience": audience}).audience == audience


def test_what_leaves_no_room_for_its_copies_is_too_large() -> None:
    size = EVENT_MAX_BYTES - COPY_BYTES
    assert refusal({**BROADCAST, "properties": {"blob": "x" * size}}).reason == "too_large"
    assert read({**BROADCAST, "properties": {"blob": "x" * (size - 1000)}}).audience == LYON


def test_the_longest_id_leaves_room_for_that_of_a_profile() -> None:
    assert read({**BROADCAST, "id": "x" * MAX_ID}).message_id == "x" * MAX_ID
    copy = "x" * MAX_ID + ":01890000-0000-7000-8000-000000000000"
    assert read({**NATIVE, "id": copy}).message_id == copy
