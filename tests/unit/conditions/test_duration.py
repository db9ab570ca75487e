"""Durations of fixed length."""

from datetime import timedelta

import pytest

from shared.conditions.duration import format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "length", "canonical"),
    [
        ("P30D", timedelta(days=30), "P30D"),
        ("P1W", timedelta(days=7), "P7D"),
        ("PT2H", timedelta(hours=2), "PT2H"),
        ("PT90M", timedelta(minutes=90), "PT1H30M"),
        ("PT1S", timedelta(seconds=1), "PT1S"),
        ("P1DT12H", timedelta(hours=36), "P1DT12H"),
        ("PT48H", timedelta(days=2), "P2D"),
    ],
)
def test_a_duration_and_its_one_spelling(text: str, length: timedelta, canonical: str) -> None:
    assert parse_duration(text) == length
    assert format_duration(length) == canonical
    assert parse_duration(canonical) == length


@pytest.mark.parametrize(
    "text",
    ["", "P", "PT", "P1DT", "P0D", "PT0S", "P1Y", "P1M", "P1W1D", "1D", "P-1D", "P1.5D", "p1d",
     "P1D ", "P99999W", "PT9999999999S", "P" + "1" * 100 + "D", "P١D"],
)  # fmt: skip
def test_what_is_no_duration(text: str) -> None:
    assert parse_duration(text) is None
