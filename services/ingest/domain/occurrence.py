"""When an event happened, from what its publisher and its sender's clock said.

A `device` source's clocks are its customers' own. What they say is put right by how far they were
off when they sent: `received_at - (sent_at - stated)`, Segment's rule, only when that is more than
a minute, because a network needs some seconds itself. Servers are believed.
Nothing happens later than it is received: beyond five minutes of tolerance, for any source, the
time becomes that of the receipt, or one wrong clock would stand above every later fact for ever.
"""

from datetime import timedelta
from functools import lru_cache
from typing import NamedTuple

from services.ingest.domain.fields import Object, violation
from services.ingest.domain.source import Source
from shared.contracts.times import parse_rfc3339, rfc3339
from shared.errors import InvalidData

TOO_OLD = "too_old"
TOLERATED_SKEW = timedelta(seconds=60)
"""A sender's clock may differ by this before it counts as wrong."""
TOLERATED_FUTURE = timedelta(minutes=5)
LATE = timedelta(hours=24)
"""An older event is taken, and its touchpoint says `context.concert.late`."""

_LAST = "9999-12-31T23:59:59.999Z"
_MILLISECOND = timedelta(milliseconds=1)


class Occurrence(NamedTuple):
    """`occurred_at` is RFC 3339 UTC; `notes` belong into `context.concert`."""

    occurred_at: str
    notes: Object


def occurrence(
    stated: str | None,
    *,
    sent_at: str | None,
    received_at: str,
    source: Source,
    historical: bool = False,
) -> Occurrence:
    """When it happened. All times are normalised; `stated` None means at the receipt.

    The notes are `clock_skew_ms` (received minus sent) of a corrected time, `clamped` of one that
    lay in the future, both with the publisher's own time as `original_timestamp`, and `late`.
    Raises InvalidData `too_old` beyond the source's `max_age_seconds`, `spec_violation` when a
    correction leads before the year 1.
    """
    if stated is None:
        return Occurrence(received_at, {})
    at = stated
    notes: Object = {}
    if source.device and sent_at is not None:
        at, notes = _corrected(stated, sent_at, received_at)
    latest, late_before = _bounds(received_at)
    if at > latest:
        at, notes = received_at, {**notes, "clamped": True, "original_timestamp": stated}
    if at < late_before and not historical:
        notes = {**notes, "late": True}
    if source.max_age_seconds is not None:
        _refuse_the_too_old(at, received_at, source.max_age_seconds)
    return Occurrence(at, notes)


def _corrected(stated: str, sent_at: str, received_at: str) -> tuple[str, Object]:
    skew = parse_rfc3339(received_at) - parse_rfc3339(sent_at)
    if abs(skew) <= TOLERATED_SKEW:
        return stated, {}
    notes = {"clock_skew_ms": skew // _MILLISECOND, "original_timestamp": stated}
    try:
        return rfc3339(parse_rfc3339(stated) + skew), notes
    except OverflowError:
        if skew > timedelta(0):
            return _LAST, notes
        raise violation("timestamp", "the device's clock leads before the year 1") from None


@lru_cache(maxsize=1024)
def _bounds(received_at: str) -> tuple[str, str]:
    """The latest time that is believed, and the earliest that is not late.

    Mostly remembered: the events of one request share when they were received.
    """
    received = parse_rfc3339(received_at)
    try:
        latest = rfc3339(received + TOLERATED_FUTURE)
    except OverflowError:
        latest = _LAST
    return latest, rfc3339(received - LATE)


def _refuse_the_too_old(at: str, received_at: str, max_age_seconds: int) -> None:
    age = parse_rfc3339(received_at) - parse_rfc3339(at)
    if age > timedelta(seconds=max_age_seconds):
        raise InvalidData(
            TOO_OLD,
            f"{at} is {int(age.total_seconds())} s before it was received;"
            f" the source takes {max_age_seconds} s",
            "occurred_at",
        )
