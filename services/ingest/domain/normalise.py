"""Times in one fixed width: RFC 3339, UTC, milliseconds, `2026-11-21T10:00:00.123Z`.

So comparing two strings compares the instants. Any year from 1 to 9999 is taken: an old receipt is
history. Finer fractions are cut off, a time without an offset is in the zone that is given, else
UTC, a date alone is its midnight. Of an hour that comes twice in autumn, the first is meant.
"""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from services.ingest.domain.fields import kind_of, violation
from shared.contracts.times import rfc3339

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIXED_WIDTH = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", re.ASCII)


def normalise_time(value: Any, path: str, zone: str | None = None) -> str:
    """An ISO 8601 time as RFC 3339 UTC with milliseconds; `zone` (IANA) is for one without offset.

    Raises InvalidData `spec_violation` for what is no time, or none in the years 1 to 9999.
    """
    if not isinstance(value, str):
        raise violation(path, f"must be an RFC 3339 time, is {kind_of(value)}")
    try:
        if _FIXED_WIDTH.fullmatch(value):
            datetime.fromisoformat(value)  # refuses the 30th of February
            return value
        instant = datetime.fromisoformat(value.strip().upper())
        if instant.tzinfo is None:
            instant = instant.replace(tzinfo=UTC if zone is None else ZoneInfo(zone))
        return rfc3339(instant)
    except (ValueError, OverflowError):
        raise violation(path, f"{value[:40]!r} is no RFC 3339 time") from None


def time_of_milliseconds(milliseconds: int) -> str:
    """The time `milliseconds` after 1970-01-01 UTC; Kafka's -1 for "none" counts as 0.

    Raises InvalidData `spec_violation` beyond the year 9999.
    """
    seconds, rest = divmod(max(milliseconds, 0), 1000)
    try:
        return f"{_whole_second(seconds)}.{rest:03d}Z"
    except OverflowError:
        raise violation("timestamp", "the record's timestamp is beyond the year 9999") from None


@lru_cache(maxsize=1024)
def _whole_second(seconds: int) -> str:
    """Neighbouring records share their second, so this is mostly remembered."""
    return (_EPOCH + timedelta(seconds=seconds)).isoformat()[:19]
