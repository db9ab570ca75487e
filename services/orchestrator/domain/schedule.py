"""When a scheduled rule goes to its audience: a recurrence of RFC 5545 in a time zone.

Occurrences are wall-clock times of the zone. A time that the clocks skip is an hour later, one
that comes twice is the first (RFC 5545, 3.3.5). Counting starts with the midnight that begins the
day of `valid.from`, or of ANCHOR: so every other week stays the same one, whatever is published.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from dateutil.rrule import rrulestr

from shared.conditions.audience import read_audience
from shared.conditions.document import Fields
from shared.conditions.mistakes import did_you_mean, shown
from shared.conditions.tree import to_json
from shared.contracts.zones import zone_names
from shared.errors import Problem

SCHEDULE_EVENT = "concert.schedule"
"""The type of the event that goes to the audience of a schedule; `properties.rule`, or
`properties.journey`, names whose it is."""
ANCHOR = datetime(2024, 1, 1)  # noqa: DTZ001  a Monday on the wall clock of any zone
MAX_RRULE = 500

_WEEKDAY = r"(MO|TU|WE|TH|FR|SA|SU)"
_ORDINAL = r"([+-]?[1-5])?" + _WEEKDAY
_PARTS = {
    "FREQ": r"HOURLY|DAILY|WEEKLY|MONTHLY|YEARLY",
    "INTERVAL": r"[1-9]\d{0,2}",
    "UNTIL": r"\d{8}(T\d{6}Z?)?",
    "BYMONTH": r"\d{1,2}(,\d{1,2}){0,11}",
    "BYMONTHDAY": r"[+-]?\d{1,2}(,[+-]?\d{1,2}){0,61}",
    "BYDAY": rf"{_ORDINAL}(,{_ORDINAL}){{0,76}}",
    "BYHOUR": r"\d{1,2}(,\d{1,2}){0,23}",
    "BYMINUTE": r"\d{1,2}",
    "BYSECOND": r"\d{1,2}",
    "BYSETPOS": r"[+-]?[1-9]",
    "WKST": _WEEKDAY,
}
_ADVICE = {
    "FREQ": "is HOURLY, DAILY, WEEKLY, MONTHLY or YEARLY: at most one occurrence an hour",
    "BYMINUTE": "is one minute: at most one occurrence an hour",
    "BYSECOND": "is one second: at most one occurrence an hour",
    "COUNT": 'is not available: say until when, with UNTIL or "valid.to"',
    "DTSTART": 'is no part of it: it counts from "valid.from"',
}
_OF_MONTHS = ("BYMONTHDAY", "BYSETPOS")
_CHOOSING = ("BYHOUR", "BYDAY", "BYMONTH")


_STEPS = {
    "FREQ=HOURLY": timedelta(hours=1),
    "FREQ=DAILY": timedelta(days=1),
    "FREQ=WEEKLY": timedelta(weeks=1),
}
_LOOKS_BACK = (timedelta(days=2), timedelta(days=60), timedelta(days=3_700))


@dataclass(frozen=True, slots=True)
class Schedule:
    """A recurrence, its zone, and whom it is for (the JSON of a condition about profiles)."""

    rrule: str
    zone: str
    audience: dict[str, Any]
    start: datetime
    """From where it counts: a wall-clock time of the zone, without offset."""


def next_occurrence(schedule: Schedule, after: datetime) -> datetime | None:
    """The first instant of the schedule later than `after`, in UTC; None when there is none."""
    zone = ZoneInfo(schedule.zone)
    # A little earlier on the wall: a time that the clocks skip is later than it reads.
    wall = after.astimezone(zone).replace(tzinfo=None) - timedelta(hours=3)
    for found in _rule(schedule.rrule, _near(schedule, wall)).xafter(wall, inc=True):
        instant: datetime = found.replace(tzinfo=zone).astimezone(UTC)
        if instant > after:
            return instant
    return None


def last_occurrence(schedule: Schedule, now: datetime) -> datetime | None:
    """The latest instant of the schedule that is not later than `now`; None when there is none."""
    last = None
    for back in _LOOKS_BACK:
        found = next_occurrence(schedule, now - back)
        while found is not None and found <= now:
            last, found = found, next_occurrence(schedule, found)
        if last is not None:
            break
    return last


def _near(schedule: Schedule, wall: datetime) -> datetime:
    """A later start from which the same occurrences are counted."""
    step = _STEPS.get(schedule.rrule.partition(";")[0])
    if step is None or wall <= schedule.start:
        return schedule.start
    parts = dict(part.split("=") for part in schedule.rrule.split(";"))
    period = step * int(parts.get("INTERVAL", "1"))
    return schedule.start + (wall - schedule.start) // period * period


def read_schedule(fields: Fields, start: datetime | None) -> Schedule | None:
    """The schedule of a trigger; None, with every mistake noted, when it is none.

    `start` is the first instant at which the rule is in force, if it says so.
    """
    rule, zone = _read_rrule(fields), _read_zone(fields)
    problems: list[Problem] = []
    condition = None
    if fields.required("audience"):
        condition = read_audience(fields.value("audience"), problems)
    for one in problems:
        fields.mistakes.add(f"{fields.path}.{one.path}", one.rule, one.message)
    if rule is None or zone is None or condition is None:
        return None
    first = ANCHOR if start is None else start.astimezone(ZoneInfo(zone))
    begin = datetime.combine(first.date(), time())
    try:
        rule = _on_the_wall(rule, ZoneInfo(zone))
        found = next(iter(_rule(_endless(rule), begin)), None)
    except (ValueError, OverflowError) as error:
        fields.wrong("rrule", "rrule", f"is no recurrence of RFC 5545: {error}")
        return None
    if found is None:
        fields.wrong("rrule", "rrule", "never occurs")
    return Schedule(rule, zone, to_json(condition), begin)


def _on_the_wall(rrule: str, zone: ZoneInfo) -> str:
    """With FREQ first, and the end, if there is one, as a time of the zone; a day counts whole."""
    parts = dict(part.split("=") for part in rrule.split(";"))
    until = parts.get("UNTIL")
    if until is not None:
        instant = datetime.strptime(until[:15], "%Y%m%dT%H%M%S" if "T" in until else "%Y%m%d")  # noqa: DTZ007
        if until.endswith("Z"):
            instant = instant.replace(tzinfo=UTC).astimezone(zone)
        elif "T" not in until:
            instant = datetime.combine(instant.date(), time(23, 59, 59))
        parts["UNTIL"] = f"{instant:%Y%m%dT%H%M%S}"
    freq = parts.pop("FREQ")
    return ";".join([f"FREQ={freq}", *(f"{name}={value}" for name, value in parts.items())])


def _endless(rrule: str) -> str:
    return ";".join(part for part in rrule.split(";") if not part.startswith("UNTIL="))


def _rule(rrule: str, start: datetime) -> Any:
    return rrulestr(rrule, dtstart=start)


def _read_rrule(fields: Fields) -> str | None:
    if not fields.required("rrule"):
        return None
    value = fields.text("rrule", limit=MAX_RRULE)
    if value is None:
        return None
    parts = value.removeprefix("RRULE:").upper().split(";")
    wrong = _wrong_parts(parts)
    for message in wrong:
        fields.wrong("rrule", "rrule", message)
    return None if wrong else ";".join(parts)


def _wrong_parts(parts: list[str]) -> list[str]:
    wrong: list[str] = []
    seen: dict[str, str] = {}
    for part in parts:
        name, _, value = part.partition("=")
        if name in seen:
            wrong.append(f"{name} stands twice")
        elif name not in _PARTS:
            unknown = f"is no part that is used here.{did_you_mean(name, map(str.lower, _PARTS))}"
            known = name.partition(":")[0]
            wrong.append(f"{shown(known)[1:-1]} {_ADVICE.get(known, unknown)}")
        elif re.fullmatch(_PARTS[name], value, re.ASCII) is None:
            wrong.append(f"{name} {_ADVICE.get(name, f'cannot be {shown(value)}')}")
        seen[name] = value
    if "FREQ" not in seen:
        wrong.append(f"FREQ {_ADVICE['FREQ']}")
    return wrong or _at_odds(seen)


def _at_odds(parts: dict[str, str]) -> list[str]:
    """Parts that do not go together; what is left finds its next occurrence at once."""
    freq = parts["FREQ"]
    if freq in ("MONTHLY", "YEARLY"):
        return []
    wrong = [f"{name} needs MONTHLY or YEARLY" for name in _OF_MONTHS if name in parts]
    if re.search(r"\d", parts.get("BYDAY", "")):
        wrong.append("BYDAY with a number needs MONTHLY or YEARLY")
    if freq != "WEEKLY" and parts.get("INTERVAL", "1") != "1":
        wrong += [f"{name} needs INTERVAL=1 or WEEKLY" for name in _CHOOSING if name in parts]
    return wrong


def _read_zone(fields: Fields) -> str | None:
    zone = fields.text("zone") if fields.has("zone") else "UTC"
    if zone is not None and zone not in zone_names():
        hint = did_you_mean(zone, sorted(zone_names()))
        fields.wrong("zone", "zone", f"{shown(zone)} is no IANA time zone.{hint}")
        return None
    return zone
