"""Instants on the wire: RFC 3339 UTC in one fixed width, so that comparing texts compares instants.

Pure: reads no clock.
"""

from datetime import UTC, datetime


def parse_instant(text: str) -> datetime:
    """The instant of a text that Concert wrote itself. Raises ValueError for anything else."""
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError(f"{text} has no offset")
    return instant


def format_instant(instant: datetime) -> str:
    """`2026-11-21T10:00:00.123Z`: milliseconds, cut, never rounded up."""
    return instant.astimezone(UTC).isoformat(timespec="milliseconds")[:23] + "Z"
