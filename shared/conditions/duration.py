"""Windows of time as ISO 8601 durations of fixed length: `P30D`, `PT2H`, `P1W`, `P1DT12H`.

Years and months are refused: they have no fixed length. This module must never read a clock.
"""

import re
from datetime import timedelta

MAX_DURATION = timedelta(days=36_500)

_DURATION = re.compile(
    r"P(?:([0-9]{1,5})W|(?=[0-9T])(?:([0-9]{1,6})D)?"
    r"(?:T(?=[0-9])(?:([0-9]{1,7})H)?(?:([0-9]{1,9})M)?(?:([0-9]{1,10})S)?)?)"
)


def parse_duration(text: str) -> timedelta | None:
    """The length of an ISO 8601 duration; None when it is not one, or not within 0 < d <= 100
    years of 365 days."""
    found = _DURATION.fullmatch(text) if len(text) <= 50 else None
    if found is None:
        return None
    weeks, days, hours, minutes, seconds = (int(group or 0) for group in found.groups())
    length = timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds)
    return length if timedelta(0) < length <= MAX_DURATION else None


def format_duration(length: timedelta) -> str:
    """The one canonical spelling of a whole number of seconds: P7D, never P1W or PT168H."""
    minutes, seconds = divmod(length.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    clock = "".join(
        f"{amount}{unit}"
        for amount, unit in ((hours, "H"), (minutes, "M"), (seconds, "S"))
        if amount
    )
    return "P" + (f"{length.days}D" if length.days else "") + (f"T{clock}" if clock else "")


def duration_in_words(length: timedelta) -> str:
    """`1 day 2 hours`, for people; what is below a second is left out."""
    minutes, seconds = divmod(length.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    units = ((length.days, "day"), (hours, "hour"), (minutes, "minute"), (seconds, "second"))
    words = [f"{amount} {unit}{'' if amount == 1 else 's'}" for amount, unit in units if amount]
    return " ".join(words) or "less than a second"
