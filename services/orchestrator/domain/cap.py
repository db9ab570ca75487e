"""Caps: how many contacts are allowed in a window, and which windows contain a planned one.

A cap holds in every window that contains the planned instant of the new contact, backward and
forward, because a delayed action is reserved ahead of contacts that will be planned before it. A
rolling window may begin at any instant; a calendar one is a day, an ISO week or a month on the
clock of the customer, and exactly one contains an instant.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from services.orchestrator.domain.history import Contact
from services.orchestrator.domain.wall_clock import first_instant
from shared.conditions.duration import duration_in_words

SCOPES = ("channel", "category", "topic", "group", "rule")
Period = Literal["day", "week", "month"]
PERIODS: dict[str, Period] = {"P1D": "day", "P7D": "week", "P1W": "week", "P1M": "month"}
"""The windows that a calendar cap may have."""
LONGEST: dict[Period, timedelta] = {
    "day": timedelta(hours=27),
    "week": timedelta(days=7, hours=3),
    "month": timedelta(days=31, hours=3),
}
"""No calendar window is longer, whatever clocks do meanwhile."""


@dataclass(frozen=True, slots=True)
class Cap:
    """At most `limit` contacts of the scope in any `window`. A scope field that is None matches
    everything; a scope without fields is about all contacts together. With a `period` the windows
    are those of the calendar, and `window` is a bound of their length."""

    limit: int
    window: timedelta
    channel: str | None = None
    category: str | None = None
    topic: str | None = None
    group: str | None = None
    rule: str | None = None
    household: bool = False
    """Whether it is about everybody of the household together, not about each person."""
    period: Period | None = None

    def covers(self, contact: Contact) -> bool:
        """Whether the contact is one of those the cap is about."""
        return (
            (self.channel is None or self.channel == contact.channel)
            and (self.category is None or self.category == contact.category)
            and (self.topic is None or self.topic == contact.topic)
            and (self.group is None or self.group == contact.group)
            and (self.rule is None or self.rule == contact.rule)
        )

    def count(self, instants: Iterable[datetime], at: datetime, zone: ZoneInfo) -> int:
        """How many contacts the fullest window that contains `at` would hold, with the one at
        `at`; the zone is that of the calendar."""
        if self.period is None:
            return busiest(instants, at, self.window)
        start, end = calendar_window(self.period, at, zone)
        return 1 + sum(start <= instant < end for instant in instants)

    def words(self) -> str:
        """The cap as a person would say it."""
        scope = [f"{name} {value}" for name in SCOPES if (value := getattr(self, name)) is not None]
        about = ", ".join(scope) or "all together"
        contacts = "contact" if self.limit == 1 else "contacts"
        whose = " with everybody of the household" if self.household else ""
        window = f"calendar {self.period}" if self.period else duration_in_words(self.window)
        return f"at most {self.limit} {contacts}{whose} in any {window} ({about})"


def busiest(instants: Iterable[datetime], at: datetime, window: timedelta) -> int:
    """The most contacts in any half-open window of this length that contains `at`, with `at`."""
    near = sorted(instant for instant in instants if at - window < instant < at + window)
    insort(near, at)
    place = bisect_left(near, at)
    return max(
        bisect_left(near, near[first] + window) - first
        for first in range(place + 1)
        if near[first] + window > at
    )


def calendar_window(period: Period, at: datetime, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """The day, ISO week or month on the zone's clock that contains an instant: its first instant
    and the first one after it."""
    day = at.astimezone(zone).date()
    if period == "day":
        first, after = day, day + timedelta(days=1)
    elif period == "week":
        first = day - timedelta(days=day.weekday())
        after = first + timedelta(days=7)
    else:
        first = day.replace(day=1)
        after = (first + timedelta(days=31)).replace(day=1)
    return _midnight(first, zone), _midnight(after, zone)


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return first_instant(datetime.combine(day, time()), zone)
