"""Instants as whole milliseconds since 1970, as windows count with, and as text on the wire."""

from datetime import UTC, datetime, timedelta

from shared.contracts.times import parse_rfc3339, rfc3339

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def instant_of(moment: datetime) -> int:
    """The instant; below a millisecond is cut off."""
    return (moment - _EPOCH) // _MILLISECOND


def instant_in(text: str) -> int:
    """The instant of an RFC 3339 text. Raises ValueError."""
    return instant_of(parse_rfc3339(text))


def moment_of(instant: int) -> datetime:
    """The instant as an aware datetime."""
    return _EPOCH + instant * _MILLISECOND


def instant_text(instant: int) -> str:
    """The instant as RFC 3339 in UTC with milliseconds."""
    return rfc3339(moment_of(instant))
