"""Reads what a node waits for: a length of time, a time of the day, an event, a date, work days.

Every wait ends by itself: what is waited for has a timeout, and all lengths have a limit.
"""

from collections.abc import Collection
from datetime import date, time, timedelta
from zoneinfo import ZoneInfo

from services.orchestrator.domain.journeys.journey import (
    Awaited,
    Awaiting,
    BusinessDays,
    Calendar,
    Criterion,
    Lasting,
    LeapDay,
    OnClock,
    OnDate,
    Wait,
)
from services.orchestrator.domain.policy_document import read_clock, read_days
from services.orchestrator.domain.quiet_hours import EVERY_DAY
from shared.conditions.document import Fields
from shared.conditions.duration import parse_duration
from shared.conditions.mistakes import shown
from shared.conditions.operands import read_attribute
from shared.conditions.tree import EventCount
from shared.contracts.zones import is_zone

MAX_WAIT = timedelta(days=366)
MAX_DAYS = 366
MAX_WORKING_DAYS = 260
MAX_CALENDARS = 20
MAX_HOLIDAYS = 1_000
NOTHING = timedelta(0)
WORKING_WEEK = frozenset(range(1, 6))
OPENS, CLOSES = time(9), time(17)

_FORMS = {
    "until": ("timeout", "timeout_next"),
    "date_attr": ("offset", "local_time", "annual", "leap_day", "past_next", "missing_next"),
    "business_days": ("calendar", "local_time"),
    "duration": ("local_time", "weekdays", "month_day"),
    "local_time": ("weekdays", "month_day"),
}
"""The forms of a wait by the field that tells them apart, and the fields that go with it."""
WAIT_FIELDS = tuple(dict.fromkeys(name for form, own in _FORMS.items() for name in (form, *own)))


def read_wait(fields: Fields, calendars: Collection[str]) -> Wait | None:
    """What the node waits for; None, with the mistake noted, when it says nothing or two things."""
    forms = [form for form in _FORMS if fields.has(form)]
    form = forms[0] if forms else ""
    allowed = (form, *_FORMS.get(form, ()))
    if not forms:
        one_of = f"waits for nothing: needs one of {', '.join(_FORMS)}"
        fields.mistakes.add(fields.path, "one_of", one_of)
        return None
    for name in WAIT_FIELDS:
        if fields.has(name) and name not in allowed:
            fields.wrong(name, "wait_form", f'does not go with "{form}"')
    match form:
        case "until":
            return _until(fields)
        case "date_attr":
            return _on_date(fields)
        case "business_days":
            return _business_days(fields, calendars)
        case _:
            return _lasting(fields)


def read_criterion(fields: Fields, value: object, path: str) -> Criterion | None:
    """A later touchpoint (`{event, where, key}`), or a condition about the person."""
    if not isinstance(value, dict) or "event" not in value or "count" in value or "within" in value:
        return fields.condition_of(value, path, event_leaves=True)
    return read_awaited(fields, value, path)


def read_awaited(fields: Fields, value: object, path: str) -> Awaited | None:
    """A later touchpoint: its type, what holds for it, and where it has the key of the run."""
    own = Fields(fields.mistakes, value, path, ("event", "where", "key"))
    if not own.required("event") or not isinstance(value, dict):
        return None
    named = {name: given for name, given in value.items() if name in ("event", "where")}
    leaf = own.condition_of(named, path, event_leaves=True)
    key = None
    if own.has("key"):
        key = read_attribute(own.mistakes, own.place("key"), own.value("key"))
        if key is not None and not key.startswith("event."):
            own.wrong("key", "attribute", "is an attribute of the event, such as event.order_id")
    if not isinstance(leaf, EventCount):
        return None
    return Awaited(leaf.event, leaf.where, key)


def read_calendars(fields: Fields) -> dict[str, Calendar]:
    """The working days and hours that the journey's waits go by, by name."""
    named = fields.value("calendars") if fields.has("calendars") else {}
    if not isinstance(named, dict):
        fields.wrong("calendars", "type", f"must be an object, not {shown(named)}")
        return {}
    if len(named) > MAX_CALENDARS:
        most = f"has {len(named)} calendars, at most {MAX_CALENDARS} allowed"
        fields.wrong("calendars", "max_items", most)
        return {}
    known = ("weekdays", "holidays", "from", "to", "zone")
    return {
        str(name): _calendar(
            Fields(fields.mistakes, value, f"{fields.place('calendars')}.{name}", known)
        )
        for name, value in named.items()
    }


def _until(fields: Fields) -> Wait | None:
    fields.required("timeout")
    timeout = fields.duration("timeout", MAX_WAIT, MAX_WAIT)
    what = read_criterion(fields, fields.value("until"), fields.place("until"))
    return None if what is None else Awaiting(what, timeout)


def _lasting(fields: Fields) -> Wait:
    length = fields.duration("duration", NOTHING, MAX_WAIT)
    if fields.has("weekdays") and fields.has("month_day"):
        fields.wrong("month_day", "wait_form", 'does not go with "weekdays"')
    if not fields.has("local_time"):
        for name in ("weekdays", "month_day"):
            if fields.has(name):
                fields.wrong(name, "required", "needs a local_time")
        return Lasting(length)
    month_day = fields.whole("month_day", 1, 1, 31) if fields.has("month_day") else None
    clock = OnClock(read_clock(fields, "local_time"), read_days(fields, "weekdays"), month_day)
    return Lasting(length, clock)


def _on_date(fields: Fields) -> Wait | None:
    attr = read_attribute(fields.mistakes, fields.place("date_attr"), fields.value("date_attr"))
    leap_days: tuple[LeapDay, ...] = ("feb_28", "mar_1")
    leap_day = fields.choice("leap_day", leap_days, "feb_28")
    if attr is None:
        return None
    return OnDate(
        attr=attr,
        offset=_offset(fields),
        at=read_clock(fields, "local_time"),
        annual=fields.boolean("annual", default=False),
        leap_day=next(one for one in leap_days if one == leap_day),
    )


def _offset(fields: Fields) -> int:
    """Whole days: `-P7D` is a week before."""
    value = fields.value("offset")
    if value is None or value in ("P0D", "PT0S"):
        return 0
    before = isinstance(value, str) and value.startswith("-")
    length = parse_duration(value.removeprefix("-")) if isinstance(value, str) else None
    if length is None or length % timedelta(days=1):
        fields.wrong("offset", "duration", f"{shown(value)} is no number of days such as -P7D")
        return 0
    if length.days > MAX_DAYS:
        fields.wrong("offset", "duration", f"must be at most {MAX_DAYS} days")
    return -length.days if before else length.days


def _business_days(fields: Fields, calendars: Collection[str]) -> Wait:
    fields.required("calendar")
    calendar = fields.text("calendar") or ""
    if calendar and calendar not in calendars:
        fields.wrong("calendar", "unknown_calendar", f"{shown(calendar)} is not in calendars")
    at = read_clock(fields, "local_time") if fields.has("local_time") else None
    return BusinessDays(fields.whole("business_days", 1, 0, MAX_WORKING_DAYS), calendar, at)


def _calendar(fields: Fields) -> Calendar:
    zone = fields.text("zone")
    if zone is not None and not is_zone(zone):
        fields.wrong("zone", "zone", f"{shown(zone)} is no IANA time zone")
        zone = None
    weekdays = read_days(fields, "weekdays") if fields.has("weekdays") else WORKING_WEEK
    opens = read_clock(fields, "from") if fields.has("from") else OPENS
    closes = read_clock(fields, "to") if fields.has("to") else CLOSES
    if closes <= opens:
        fields.wrong("to", "time_order", "must be later than from")
    return Calendar(
        weekdays=weekdays or EVERY_DAY,
        holidays=frozenset(_holidays(fields)),
        opens=opens,
        closes=closes,
        zone=None if zone is None else ZoneInfo(zone),
    )


def _holidays(fields: Fields) -> list[date]:
    found = []
    for path, value in fields.items("holidays", MAX_HOLIDAYS):
        try:
            found.append(date.fromisoformat(value if isinstance(value, str) else ""))
        except ValueError:
            fields.mistakes.add(path, "date", f"{shown(value)} is no date such as 2026-12-25")
    return found
