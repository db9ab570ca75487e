"""Instants on the wire: RFC 3339 in UTC with milliseconds, so order of text is order of time."""

from datetime import UTC, datetime


def rfc3339(instant: datetime) -> str:
    """`2026-11-21T10:00:00.123Z` for an aware instant; below a millisecond is cut off."""
    text = instant.astimezone(UTC).isoformat(timespec="milliseconds")
    return text.removesuffix("+00:00") + "Z"


def parse_rfc3339(text: str) -> datetime:
    """The aware instant of an RFC 3339 text. Raises ValueError."""
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError(f"no time zone in {text!r}")
    return instant
