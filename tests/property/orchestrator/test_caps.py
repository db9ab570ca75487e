"""Laws of the rolling cap: no window ever holds too many, whatever the order of planning."""

from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from services.orchestrator.domain.cap import busiest
from tests.unit.orchestrator.build import NOON

MINUTES = st.integers(0, 500)
WINDOWS = st.integers(1, 120)
LIMITS = st.integers(0, 4)


def at(minute: int) -> datetime:
    return NOON + timedelta(minutes=minute)


@given(st.lists(MINUTES, max_size=60), WINDOWS, LIMITS)
def test_admitted_contacts_never_exceed_any_window(
    planned: list[int], window: int, limit: int
) -> None:
    kept: list[int] = []
    length = timedelta(minutes=window)
    for minute in planned:
        if busiest([at(one) for one in kept], at(minute), length) <= limit:
            kept.append(minute)
    for start in range(-window, 502):
        assert sum(start <= minute < start + window for minute in kept) <= limit


@given(st.lists(MINUTES, max_size=30), MINUTES, WINDOWS)
def test_busiest_is_the_fullest_window_around_the_instant(
    others: list[int], minute: int, window: int
) -> None:
    fullest = max(
        sum(start <= one < start + window for one in [*others, minute])
        for start in range(minute - window + 1, minute + 1)
    )
    found = busiest([at(one) for one in others], at(minute), timedelta(minutes=window))
    assert found == fullest


@given(st.lists(MINUTES, max_size=30), MINUTES, WINDOWS, LIMITS)
def test_a_refusal_names_a_real_reason(
    others: list[int], minute: int, window: int, limit: int
) -> None:
    """What is refused would have broken a window that holds it."""
    length = timedelta(minutes=window)
    if busiest([at(one) for one in others], at(minute), length) > limit:
        near = [one for one in others if abs(one - minute) < window]
        assert len(near) + 1 > limit
