"""When a wait ends: instants from clocks, calendars and dates, where clocks jump and months differ.

A local time that the clocks skip stands for the instant of the jump; of one that comes twice, the
first counts. So a daily wait ends once every day, in spring and in autumn too.
"""

from calendar import isleap, monthrange
from datetime import MAXYEAR, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from services.orchestrator.domain.journeys.journey import (
    BusinessDays,
    Calendar,
    Lasting,
    OnClock,
    OnDate,
)
from services.orchestrator.domain.wall_clock import first_instant
from shared.contracts.times import parse_rfc3339

DAY = timedelta(days=1)
SMALLEST = timedelta(microseconds=1)
FIRST_YEAR, LAST_YEAR = 1_600, MAXYEAR - 10
"""Dates outside are mistakes of whoever typed them."""


def end_of_lasting(wait: Lasting, since: datetime, zone: ZoneInfo) -> datetime:
    """When a wait that began at an instant is over; a time of the day alone is the next one."""
    over = since + wait.length
    if wait.clock is None:
        return over
    return next_on_clock(wait.clock, over - SMALLEST if wait.length else over, zone)


def next_on_clock(clock: OnClock, after: datetime, zone: ZoneInfo) -> datetime:
    """The first instant later than `after` at which the person's clock comes to the time on one
    of the days."""
    day = after.astimezone(zone).date() - DAY
    while True:
        if _is_on(clock, day):
            found = _at(day, clock.at, zone)
            if found > after:
                return found
        day += DAY


def end_of_date(wait: OnDate, value: object, since: datetime, zone: ZoneInfo) -> datetime | None:
    """The instant that the date in a trait means; None when the trait holds no date.

    For an annual date it is the first one later than `since`; any other may lie before it.
    """
    named = _date_in(value, zone)
    if named is None:
        return None
    if not wait.annual:
        return _at(named + wait.offset * DAY, wait.at, zone)
    year = since.astimezone(zone).year - 2
    while True:
        found = _at(_in_year(named, year, wait) + wait.offset * DAY, wait.at, zone)
        if found > since:
            return found
        year += 1


def end_of_business(
    wait: BusinessDays, calendar: Calendar, since: datetime, zone: ZoneInfo
) -> datetime:
    """When the n-th working day after `since` begins; of 0 days, `since` itself while people work,
    else when they begin again."""
    where = calendar.zone or zone
    today = since.astimezone(where).date()
    starts = wait.at or calendar.opens
    if wait.days == 0:
        return _next_opening(calendar, since, today, where)
    day, left = today, wait.days
    while left:
        day += DAY
        left -= _works(calendar, day)
    return _at(day, starts, where)


def _next_opening(calendar: Calendar, since: datetime, today: date, where: ZoneInfo) -> datetime:
    day = today
    while True:
        if _works(calendar, day):
            opens, closes = _at(day, calendar.opens, where), _at(day, calendar.closes, where)
            if since < closes:
                return max(since, opens)
        day += DAY


def _works(calendar: Calendar, day: date) -> bool:
    return day.isoweekday() in calendar.weekdays and day not in calendar.holidays


def _is_on(clock: OnClock, day: date) -> bool:
    if clock.month_day is None:
        return day.isoweekday() in clock.weekdays
    return day.day == min(clock.month_day, monthrange(day.year, day.month)[1])


def _in_year(named: date, year: int, wait: OnDate) -> date:
    """The same day of another year; February 29 as the wait says."""
    if (named.month, named.day) != (2, 29) or isleap(year):
        return named.replace(year=year)
    return date(year, 2, 28) if wait.leap_day == "feb_28" else date(year, 3, 1)


def _date_in(value: object, zone: ZoneInfo) -> date | None:
    """The day that a value names: a date, or the day on the person's calendar of an instant."""
    if not isinstance(value, str):
        return None
    try:
        if len(value) == len("2026-12-25"):
            found = date.fromisoformat(value)
        else:
            found = parse_rfc3339(value).astimezone(zone).date()
    except (ValueError, OverflowError):
        return None
    return found if FIRST_YEAR <= found.year <= LAST_YEAR else None


def _at(day: date, at: time, zone: ZoneInfo) -> datetime:
    return first_instant(datetime.combine(day, at), zone)
