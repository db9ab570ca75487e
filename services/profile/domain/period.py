"""Periods of the calendar: `P2Y`, `P18M`, `P30D`. How long a consent holds, by default."""

import re
from calendar import monthrange
from datetime import timedelta
from typing import NamedTuple

from shared.contracts.times import parse_rfc3339, rfc3339

MOST_MONTHS = 100 * 12
MOST_DAYS = 36_500
LAST_YEAR = 9998
_PERIOD = re.compile(r"P(?=[0-9])(?:([0-9]{1,3})Y)?(?:([0-9]{1,4})M)?(?:([0-9]{1,5})D)?")
_WEEKS = re.compile(r"P([0-9]{1,4})W")


class Period(NamedTuple):
    """Months of the calendar, then days of 24 hours."""

    months: int
    days: int

    def after(self, at: str) -> str:
        """The instant (RFC 3339 UTC) that is a period after another; a day that a month lacks is
        its last one. Never after the year 9998."""
        instant = parse_rfc3339(at)
        month = instant.month - 1 + self.months
        year = min(instant.year + month // 12, LAST_YEAR)
        day = min(instant.day, monthrange(year, month % 12 + 1)[1])
        moved = instant.replace(year=year, month=month % 12 + 1, day=day)
        return rfc3339(moved + timedelta(days=self.days) if year < LAST_YEAR else moved)


def parse_period(text: str) -> Period | None:
    """The period of a text; None when it is none, or not within 0 < p <= 100 years."""
    weeks = _WEEKS.fullmatch(text)
    if weeks is not None:
        found = Period(0, int(weeks[1]) * 7)
    else:
        parts = _PERIOD.fullmatch(text)
        if parts is None:
            return None
        years, months, days = (int(group or 0) for group in parts.groups())
        found = Period(years * 12 + months, days)
    if found == Period(0, 0) or found.months > MOST_MONTHS or found.days > MOST_DAYS:
        return None
    return found


def written(period: Period) -> str:
    """The one canonical spelling."""
    years, months = divmod(period.months, 12)
    parts = ((years, "Y"), (months, "M"), (period.days, "D"))
    return "P" + "".join(f"{amount}{unit}" for amount, unit in parts if amount)
