"""Quiet hours: over midnight, by weekday, where clocks jump, one after the other."""

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from services.orchestrator.domain.drop import Drop
from services.orchestrator.domain.quiet import Instant, planned_instant
from services.orchestrator.domain.zone import Zone
from tests.unit.orchestrator.build import policy

NIGHT = {"from": "21:00", "to": "08:00"}


def local(text: str, zone: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))


def asked(
    at: datetime, zone: str, *silences: dict[str, Any], channel: str = "sms", **more: Any
) -> Instant | Drop:
    held = policy(quiet_hours=list(silences))
    return planned_instant(
        [held],
        channel=channel,
        category=more.get("category", "marketing"),
        at=at.astimezone(UTC),
        zone=Zone(zone, "profile"),
    )


def planned(text: str, zone: str, *silences: dict[str, Any]) -> str:
    """When what is due at a local time happens, on the same clock."""
    found = asked(local(text, zone), zone, *silences)
    assert isinstance(found, Instant), found
    return found.at.astimezone(ZoneInfo(zone)).strftime("%Y-%m-%d %H:%M")


@pytest.mark.parametrize(
    ("at", "then"),
    [
        ("2026-11-21 20:59", "2026-11-21 20:59"),
        ("2026-11-21 21:00", "2026-11-22 08:00"),
        ("2026-11-21 23:30", "2026-11-22 08:00"),
        ("2026-11-22 00:00", "2026-11-22 08:00"),
        ("2026-11-22 07:59", "2026-11-22 08:00"),
        ("2026-11-22 08:00", "2026-11-22 08:00"),
    ],
)
def test_a_night_in_tokyo(at: str, then: str) -> None:
    assert planned(at, "Asia/Tokyo", NIGHT) == then


@pytest.mark.parametrize(
    ("at", "then"),
    [
        ("2026-11-20 23:00", "2026-11-21 08:00"),  # a Friday
        ("2026-11-21 07:00", "2026-11-21 08:00"),  # Saturday, the end of Friday's
        ("2026-11-21 23:00", "2026-11-21 23:00"),  # Saturday's own does not begin
        ("2026-11-20 07:00", "2026-11-20 07:00"),  # nor did Thursday's
    ],
)
def test_days_are_those_on_which_the_silence_begins(at: str, then: str) -> None:
    assert planned(at, "Europe/Paris", {**NIGHT, "days": [5]}) == then


def test_it_says_what_is_waited_for() -> None:
    found = asked(local("2026-11-21 23:30", "Asia/Tokyo"), "Asia/Tokyo", NIGHT)
    assert found == Instant(
        local("2026-11-22 08:00", "Asia/Tokyo"), "quiet hours 21:00 to 08:00, Asia/Tokyo"
    )
    free = local("2026-11-21 12:00", "Asia/Tokyo")
    assert asked(free, "Asia/Tokyo", NIGHT) == Instant(free)


def test_only_what_it_is_about_keeps_quiet() -> None:
    at = local("2026-11-21 23:30", "Asia/Tokyo")
    narrow = {**NIGHT, "channels": ["sms"], "categories": ["marketing"]}
    assert asked(at, "Asia/Tokyo", narrow, channel="email") == Instant(at)
    assert asked(at, "Asia/Tokyo", narrow, category="service") == Instant(at)
    assert asked(at, "Asia/Tokyo", NIGHT, category="service") != Instant(at)
    assert asked(at, "Asia/Tokyo", NIGHT, category="transactional") == Instant(at), "bypassed"


@pytest.mark.parametrize(
    ("silence", "at", "then"),
    [
        # 02:00 jumps to 03:00 on 29 March; an end that is skipped is the jump.
        ({"from": "22:00", "to": "02:30"}, "2026-03-28T22:00+01:00", "2026-03-29T03:00+02:00"),
        ({"from": "02:15", "to": "02:45"}, "2026-03-29T03:00+02:00", "2026-03-29T03:00+02:00"),
        ({"from": "02:30", "to": "06:00"}, "2026-03-29T01:59+01:00", "2026-03-29T01:59+01:00"),
        ({"from": "02:30", "to": "06:00"}, "2026-03-29T03:00+02:00", "2026-03-29T06:00+02:00"),
        # 03:00 jumps back to 02:00 on 25 October: one silence, to the second 02:30.
        ({"from": "22:00", "to": "02:30"}, "2026-10-25T02:29+02:00", "2026-10-25T02:30+01:00"),
        ({"from": "22:00", "to": "02:30"}, "2026-10-25T02:45+02:00", "2026-10-25T02:30+01:00"),
        ({"from": "22:00", "to": "02:30"}, "2026-10-25T02:30+01:00", "2026-10-25T02:30+01:00"),
        ({"from": "02:30", "to": "06:00"}, "2026-10-25T02:29+02:00", "2026-10-25T02:29+02:00"),
        ({"from": "02:30", "to": "06:00"}, "2026-10-25T02:10+01:00", "2026-10-25T06:00+01:00"),
    ],
)
def test_clocks_that_jump_neither_skip_nor_double(
    silence: dict[str, Any], at: str, then: str
) -> None:
    found = asked(datetime.fromisoformat(at), "Europe/Paris", silence)
    assert isinstance(found, Instant)
    assert found.at == datetime.fromisoformat(then)


def test_one_silence_after_the_other() -> None:
    morning = {"from": "08:00", "to": "09:30"}
    assert planned("2026-11-20 22:00", "Europe/Paris", NIGHT, morning) == "2026-11-21 09:30"
    weekend = {"from": "09:30", "to": "09:30", "days": [6, 7]}
    chained = (NIGHT, morning, weekend)
    assert planned("2026-11-20 22:00", "Europe/Paris", *chained) == "2026-11-23 09:30"


def test_what_would_wait_too_long_is_dropped() -> None:
    at = local("2026-11-21 23:30", "Asia/Tokyo")
    short = {**NIGHT, "max_defer": "PT8H29M"}
    found = asked(at, "Asia/Tokyo", short)
    assert isinstance(found, Drop)
    assert (found.stage, found.reason) == ("quiet_hours", "deferred_too_long")
    assert "waits at most 8 hours 29 minutes" in found.condition
    just = asked(at, "Asia/Tokyo", {**NIGHT, "max_defer": "PT8H30M"})
    assert isinstance(just, Instant)
    # Two that follow each other: together they are too long for the first one.
    chained = asked(
        at, "Asia/Tokyo", {**NIGHT, "max_defer": "PT9H"}, {"from": "08:00", "to": "11:00"}
    )
    assert isinstance(chained, Drop)
    always = asked(at, "Asia/Tokyo", {"from": "00:00", "to": "00:00"})
    assert isinstance(always, Drop), "it never ends"


def test_a_silence_may_discard() -> None:
    at = local("2026-11-21 23:30", "Asia/Tokyo")
    discard = {**NIGHT, "action": "discard"}
    found = asked(at, "Asia/Tokyo", discard)
    assert isinstance(found, Drop)
    assert (found.stage, found.reason) == ("quiet_hours", "quiet_hours")
    both = asked(at, "Asia/Tokyo", {"from": "20:00", "to": "10:00"}, discard)
    assert isinstance(both, Drop), "whichever ends last"
    later = asked(at, "Asia/Tokyo", NIGHT, {"from": "08:00", "to": "09:00", "action": "discard"})
    assert isinstance(later, Drop), "waiting would end in it"
