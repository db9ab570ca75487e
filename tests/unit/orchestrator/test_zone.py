"""In which zone a person lives, and what local times mean where clocks jump."""

from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest

from services.orchestrator.domain.cap import Period, calendar_window
from services.orchestrator.domain.countries import ZONE_OF_COUNTRY
from services.orchestrator.domain.policy_document import parse_policy
from services.orchestrator.domain.resource import parse_resource
from services.orchestrator.domain.rule_document import parse_rule
from services.orchestrator.domain.wall_clock import first_instant, last_instant
from services.orchestrator.domain.zone import TimeZone, Zone
from shared.contracts.profile_update import ProfileSnapshot
from shared.errors import Unprocessable
from tests.unit.orchestrator.build import profile_json, rule_json, uid

PARIS = ZoneInfo("Europe/Paris")
NO_PLACES = ("localtime", "Factory", "posixrules", "posix/Asia/Tokyo", "right/Asia/Tokyo")
DATABASE = Path(str(files("tzdata"))) / "zoneinfo"


def person(**fields: Any) -> ProfileSnapshot:
    return msgspec.convert(profile_json(uid("ada"), **fields), ProfileSnapshot)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("fields", "zone"),
    [
        ({"timezone": "Asia/Tokyo"}, Zone("Asia/Tokyo", "profile", "Europe/Paris")),
        ({"timezone": "Asia/Atlantis", "traits": {"country": "JP"}},
         Zone("Asia/Tokyo", "country", "Europe/Paris")),
        ({"traits": {"timezone": "Asia/Seoul"}}, Zone("Asia/Seoul", "profile", "Europe/Paris")),
        ({"traits": {"country": " de "}}, Zone("Europe/Berlin", "country", "Europe/Paris")),
        ({"traits": {"country": "US"}}, Zone("Europe/Paris", "default", "Europe/Paris")),
        ({"traits": {"country": 7, "timezone": ["UTC"]}},
         Zone("Europe/Paris", "default", "Europe/Paris")),
        *(({"timezone": name}, Zone("Europe/Paris", "default", "Europe/Paris"))
          for name in ("../../etc/passwd", *NO_PLACES)),
        ({"timezone": "localtime", "traits": {"timezone": "Asia/Seoul"}},
         Zone("Asia/Seoul", "profile", "Europe/Paris")),
        ({}, Zone("Europe/Paris", "default", "Europe/Paris")),
    ],
)  # fmt: skip
def test_the_first_source_that_knows_decides(fields: dict[str, Any], zone: Zone) -> None:
    assert TimeZone(default="Europe/Paris").of(person(**fields)) == zone


@pytest.mark.parametrize("name", [*NO_PLACES, "asia/tokyo"])
def test_what_is_no_place_is_refused_everywhere(name: str) -> None:
    vip = {"attr": "profile.vip", "op": "eq", "value": True}
    schedule = {"type": "schedule", "rrule": "FREQ=DAILY", "zone": name, "audience": vip}
    for read in (
        lambda: parse_policy({"time_zone": {"default": name}}, key="p", version=1),
        lambda: parse_resource({"limit": 1, "per": "P1D", "zone": name}, key="r", version=1),
        lambda: parse_rule(rule_json(trigger=schedule), key="r", version=1),
    ):
        with pytest.raises(Unprocessable) as refused:
            read()
        assert "zone" in str(refused.value.problems), refused.value


def test_the_policy_says_which_sources_count_in_which_order() -> None:
    tokyo = person(timezone="Asia/Tokyo", traits={"country": "KR"})
    assert TimeZone(("country", "profile")).of(tokyo).name == "Asia/Seoul"
    assert TimeZone(("default", "profile")).of(tokyo) == Zone("UTC", "default")


def test_countries_agree_with_the_database() -> None:
    """A country is there when all of its zones show the same time for the next five years."""
    start = datetime(2026, 1, 1, tzinfo=UTC)
    instants = [start + timedelta(hours=6 * step) for step in range(4 * 365 * 5)]
    zones: dict[str, list[str]] = {}
    for line in (DATABASE / "zone.tab").read_text().splitlines():
        if not line.startswith("#"):
            country, _, name = line.split("\t")[:3]
            zones.setdefault(country.lower(), []).append(name)

    def times(name: str) -> list[timedelta | None]:
        with (DATABASE / name).open("rb") as file:
            rules = ZoneInfo.from_file(file)
        return [instant.astimezone(rules).utcoffset() for instant in instants]

    expected = {
        country: names[0]
        for country, names in zones.items()
        if len(names) == 1 or all(times(name) == times(names[0]) for name in names[1:])
    }
    assert expected == ZONE_OF_COUNTRY


@pytest.mark.parametrize(
    ("zone", "local", "first", "last"),
    [
        (PARIS, "2026-03-29 01:59", "2026-03-29 00:59", "2026-03-29 00:59"),
        (PARIS, "2026-03-29 02:30", "2026-03-29 01:00", "2026-03-29 01:00"),  # skipped
        (PARIS, "2026-03-29 03:00", "2026-03-29 01:00", "2026-03-29 01:00"),
        (PARIS, "2026-10-25 02:30", "2026-10-25 00:30", "2026-10-25 01:30"),  # comes twice
        (PARIS, "2026-10-25 03:00", "2026-10-25 02:00", "2026-10-25 02:00"),
        # Midnight itself is skipped in Cairo, and comes twice in Havana.
        (ZoneInfo("Africa/Cairo"), "2026-04-24 00:00", "2026-04-23 22:00", "2026-04-23 22:00"),
        (ZoneInfo("America/Havana"), "2026-11-01 00:00", "2026-11-01 04:00", "2026-11-01 05:00"),
        # A whole day that never was, and a clock that is put by half an hour.
        (ZoneInfo("Pacific/Apia"), "2011-12-30 12:00", "2011-12-30 10:00", "2011-12-30 10:00"),
        (ZoneInfo("Australia/Lord_Howe"), "2026-10-04 02:15", "2026-10-03 15:30",
         "2026-10-03 15:30"),
    ],
)  # fmt: skip
def test_local_times(zone: ZoneInfo, local: str, first: str, last: str) -> None:
    shown = datetime.fromisoformat(local)
    assert first_instant(shown, zone) == utc(first)
    assert last_instant(shown, zone) == utc(last)


@pytest.mark.parametrize(
    ("period", "at", "start", "end"),
    [
        ("day", "2026-03-29 12:00", "2026-03-28 23:00", "2026-03-29 22:00"),  # 23 hours
        ("day", "2026-10-25 12:00", "2026-10-24 22:00", "2026-10-25 23:00"),  # 25 hours
        ("day", "2026-11-21 22:59", "2026-11-20 23:00", "2026-11-21 23:00"),
        ("day", "2026-11-21 23:00", "2026-11-21 23:00", "2026-11-22 23:00"),
        ("week", "2026-11-22 22:59", "2026-11-15 23:00", "2026-11-22 23:00"),  # a Sunday
        ("week", "2026-11-22 23:00", "2026-11-22 23:00", "2026-11-29 23:00"),
        ("month", "2026-10-31 23:30", "2026-10-31 23:00", "2026-11-30 23:00"),
        ("month", "2026-10-15 00:00", "2026-09-30 22:00", "2026-10-31 23:00"),
        ("month", "2026-12-31 12:00", "2026-11-30 23:00", "2026-12-31 23:00"),
    ],
)
def test_calendar_windows_are_those_of_the_clock(
    period: Period, at: str, start: str, end: str
) -> None:
    assert calendar_window(period, utc(at), PARIS) == (utc(start), utc(end))
