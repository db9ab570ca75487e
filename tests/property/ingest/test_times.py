"""Laws of an event's time, whatever the clocks of publishers show."""

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from services.ingest.domain.occurrence import TOLERATED_FUTURE, TOLERATED_SKEW, occurrence
from services.ingest.domain.source import Source
from shared.contracts.times import parse_rfc3339, rfc3339

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
instants = st.integers(-2_000_000_000_000, 7_000_000_000_000).map(
    lambda milliseconds: rfc3339(EPOCH + timedelta(milliseconds=milliseconds))
)
near = st.integers(-7_200_000, 7_200_000)


def shifted(text: str, milliseconds: int) -> str:
    return rfc3339(parse_rfc3339(text) + timedelta(milliseconds=milliseconds))


def happened(stated: str, sent_at: str | None, received_at: str, *, device: bool) -> Any:
    source = Source(id="s", name="S", channel="web", device=device)
    return occurrence(stated, sent_at=sent_at, received_at=received_at, source=source)


@given(instants, st.none() | instants, instants, st.booleans())
def test_nothing_happens_later_than_it_is_received(
    stated: str, sent_at: str | None, received_at: str, device: bool
) -> None:
    found = happened(stated, sent_at, received_at, device=device)
    latest = parse_rfc3339(received_at) + TOLERATED_FUTURE
    assert parse_rfc3339(found.occurred_at) <= latest
    assert ("clamped" in found.notes) <= (found.occurred_at == received_at)


@given(instants, st.none() | instants, instants, near)
def test_what_no_device_says_is_never_moved(
    stated: str, sent_at: str | None, received_at: str, before: int
) -> None:
    for time in (stated, shifted(received_at, before)):
        found = happened(time, sent_at, received_at, device=False)
        future = parse_rfc3339(time) > parse_rfc3339(received_at) + TOLERATED_FUTURE
        assert found.occurred_at == (received_at if future else time)
        assert "clock_skew_ms" not in found.notes


@given(instants, st.integers(0, 10_000_000), st.integers(-(10**11), 10**11))
def test_a_device_with_a_wrong_clock_tells_the_same_as_one_with_a_right_one(
    received_at: str, ago: int, off: int
) -> None:
    """However far its clock is off, when both its times are off by the same."""
    truth = shifted(received_at, -ago)
    found = happened(shifted(truth, off), shifted(received_at, off), received_at, device=True)
    error = (
        timedelta(0) if abs(off) > TOLERATED_SKEW / timedelta(milliseconds=1) else TOLERATED_SKEW
    )
    assert abs(parse_rfc3339(found.occurred_at) - parse_rfc3339(truth)) <= error
