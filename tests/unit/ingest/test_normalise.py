"""Times in one fixed width."""

import pytest

from services.ingest.domain.normalise import normalise_time, time_of_milliseconds
from shared.errors import InvalidData


@pytest.mark.parametrize(
    ("given", "normalised"),
    [
        ("2026-11-21T10:00:00.123Z", "2026-11-21T10:00:00.123Z"),
        ("2026-11-21T10:00:00Z", "2026-11-21T10:00:00.000Z"),
        ("2026-11-21t10:00:00.5z", "2026-11-21T10:00:00.500Z"),
        ("2026-11-21T10:00:00.123999+00:00", "2026-11-21T10:00:00.123Z"),
        ("2026-11-21T10:00:00.123456789Z", "2026-11-21T10:00:00.123Z"),
        ("2026-11-21T00:30:00+02:00", "2026-11-20T22:30:00.000Z"),
        ("2026-11-21 10:00:00", "2026-11-21T10:00:00.000Z"),
        (" 1997-01-01 ", "1997-01-01T00:00:00.000Z"),
        ("0033-04-03T15:00:00Z", "0033-04-03T15:00:00.000Z"),
        ("2024-02-29T12:00:00.000Z", "2024-02-29T12:00:00.000Z"),
    ],
)
def test_every_way_to_write_an_instant_becomes_one(given: str, normalised: str) -> None:
    assert normalise_time(given, "occurred_at") == normalised


@pytest.mark.parametrize(
    "given",
    [
        "",
        "yesterday",
        "2026-13-01T00:00:00Z",
        "2026-02-30T10:00:00.123Z",
        "2023-02-29T12:00:00.000Z",
        "2026-11-21T25:00:00.000Z",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:00:00-02:00",
        1763712000,
        True,
        {},
    ],
)
def test_what_is_no_time_is_a_violation_with_its_path(given: object) -> None:
    with pytest.raises(InvalidData) as refused:
        normalise_time(given, "occurred_at")
    assert (refused.value.reason, refused.value.path) == ("spec_violation", "occurred_at")


def test_record_timestamps() -> None:
    assert time_of_milliseconds(1_763_712_000_123) == "2025-11-21T08:00:00.123Z"
    assert time_of_milliseconds(-1) == "1970-01-01T00:00:00.000Z"
    with pytest.raises(InvalidData):
        time_of_milliseconds(2**62)
