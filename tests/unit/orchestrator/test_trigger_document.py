"""What triggers a rule: the fields of each type, and when a schedule occurs."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.orchestrator.domain.rule import Trigger
from services.orchestrator.domain.rule_document import parse_rule
from services.orchestrator.domain.schedule import last_occurrence, next_occurrence
from shared.conditions.tree import Compare
from tests.unit.orchestrator.build import rule_json
from tests.unit.orchestrator.test_rule_document import message, problems

CITY = {"attr": "profile.city", "op": "eq", "value": "Lyon"}


def trigger(rule: dict[str, Any] | None = None, **fields: Any) -> Trigger:
    return parse_rule(rule_json(trigger=fields, **(rule or {})), key="r", version=1).trigger


def wrong(**fields: Any) -> dict[str, str]:
    return problems(parse_rule, rule_json(trigger=fields))


def test_a_change_of_a_profile_names_its_segment_trait_or_persona() -> None:
    entered = trigger(type="segment_entered", segment="vip", include_existing=True)
    assert (entered.kind, entered.subject, entered.event) == ("segment_entered", "vip", "")
    assert entered.include_existing
    assert trigger(type="trait_changed", trait="tier", max_age="P2D").max_age == timedelta(days=2)
    assert trigger(type="segment_left", segment="vip").subject == "vip"
    assert trigger(type="trait_changed", trait="tier").subject == "tier"
    assert trigger(type="trait_changed", trait="profile.computed.spent").subject == "computed.spent"
    assert trigger(type="persona_changed").subject is None
    assert trigger(type="persona_changed", persona="hunter").subject == "hunter"
    gold = {"attr": "profile.tier", "op": "changed_to", "value": "gold"}
    changed = trigger(type="trait_changed", trait="tier", where=gold)
    assert changed.where == Compare("profile.tier", "changed_to", "gold")


def test_a_question_may_have_a_condition() -> None:
    asked = trigger(type="api", where={"attr": "context.reason", "op": "eq", "value": "checkout"})
    assert (asked.kind, asked.where is None) == ("api", False)


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({"type": "segment_entered"}, {"trigger.segment": "required"}),
        ({"type": "segment_entered", "segment": "V I P"}, {"trigger.segment": "key"}),
        (
            {"type": "segment_left", "segment": "vip", "event": "x", "historical": True},
            {"trigger.event": "trigger_type", "trigger.historical": "trigger_type"},
        ),
        ({"type": "trait_changed"}, {"trigger.trait": "required"}),
        ({"type": "trait_changed", "trait": "address.city"}, {"trigger.trait": "attribute"}),
        ({"type": "trait_changed", "trait": "computed"}, {"trigger.trait": "attribute"}),
        ({"type": "trait_changed", "trait": "computed.orders"}, {"trigger.trait": "attribute"}),
        (
            {"type": "segment_left", "segment": "a", "max_age": "P1D"},
            {"trigger.max_age": "trigger_type"},
        ),
        ({"type": "trait_changed", "trait": "household"}, {"trigger.trait": "attribute"}),
        ({"type": "api", "max_age": "P1D"}, {"trigger.max_age": "trigger_type"}),
        ({"type": "event"}, {"trigger.event": "required"}),
        ({"type": "segment_enter", "segment": "vip"}, {"trigger.type": "choice"}),
        ({"event": "x", "include_existing": True}, {"trigger.include_existing": "trigger_type"}),
        (
            {"type": "schedule", "where": CITY},
            {"trigger.rrule": "required", "trigger.audience": "required",
             "trigger.where": "trigger_type"},
        ),
    ],
)  # fmt: skip
def test_fields_belong_to_their_type_of_trigger(
    fields: dict[str, Any], found: dict[str, str]
) -> None:
    assert wrong(**fields) == found


def test_the_type_that_was_probably_meant_is_named() -> None:
    document = rule_json(trigger={"type": "segment_enter", "segment": "vip"})
    assert 'Did you mean "segment_entered"?' in message(parse_rule, document)


def schedule(rrule: str, **fields: Any) -> Trigger:
    return trigger(type="schedule", rrule=rrule, audience=CITY, **fields)


def occurrences(of: Trigger, after: str, count: int = 3) -> list[str]:
    found, at = [], datetime.fromisoformat(after).replace(tzinfo=UTC)
    for _ in range(count):
        assert of.schedule is not None
        following = next_occurrence(of.schedule, at)
        if following is None:
            break
        at = following
        found.append(at.strftime("%m-%d %H:%M"))
    return found


def test_a_schedule_occurs_on_the_wall_clock_of_its_zone() -> None:
    monday = schedule("FREQ=WEEKLY;BYDAY=MO;BYHOUR=9", zone="Europe/Paris")
    assert occurrences(monday, "2026-10-14") == ["10-19 07:00", "10-26 08:00", "11-02 08:00"]
    night = schedule("RRULE:FREQ=DAILY;BYHOUR=2;BYMINUTE=30", zone="Europe/Paris")
    assert occurrences(night, "2026-03-27T12:00") == ["03-28 01:30", "03-29 01:30", "03-30 00:30"]
    assert occurrences(night, "2026-10-24T12:00") == ["10-25 00:30", "10-26 01:30", "10-27 01:30"]
    last = schedule("FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1;BYHOUR=17")
    assert occurrences(last, "2026-11-22") == ["11-30 17:00", "12-31 17:00", "01-29 17:00"]


def test_hours_that_the_clocks_skip_or_repeat_come_once() -> None:
    hourly = schedule("FREQ=HOURLY;BYMINUTE=30", zone="Europe/Paris")
    assert occurrences(hourly, "2026-03-29T00:00") == ["03-29 00:30", "03-29 01:30", "03-29 02:30"]
    assert occurrences(hourly, "2026-10-24T23:00") == ["10-24 23:30", "10-25 00:30", "10-25 02:30"]


def test_it_counts_from_the_first_day_in_force_and_ends_when_it_says() -> None:
    fields = {"type": "schedule", "rrule": "FREQ=WEEKLY;INTERVAL=2", "audience": CITY}
    start = {"valid": {"from": "2026-11-04T10:00:00Z"}}
    other_week = trigger(start, zone="Asia/Tokyo", **fields)
    assert occurrences(other_week, "2026-11-10") == ["11-17 15:00", "12-01 15:00", "12-15 15:00"]
    ending = schedule("FREQ=DAILY;UNTIL=20261124")
    assert occurrences(ending, "2026-11-22T12:00") == ["11-23 00:00", "11-24 00:00"]
    utc = schedule("FREQ=DAILY;BYHOUR=1;UNTIL=20261123T230000Z", zone="Asia/Tokyo")
    assert occurrences(utc, "2026-11-22T12:00") == ["11-22 16:00", "11-23 16:00"]


def test_of_what_was_missed_the_last_is_found() -> None:
    hourly = schedule("FREQ=HOURLY").schedule
    yearly = schedule("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29").schedule
    assert hourly is not None
    assert yearly is not None
    now = datetime(2031, 3, 1, 0, 30, tzinfo=UTC)
    assert last_occurrence(hourly, now) == datetime(2031, 3, 1, tzinfo=UTC)
    assert last_occurrence(yearly, now) == datetime(2028, 2, 29, tzinfo=UTC)
    assert last_occurrence(yearly, datetime(2028, 2, 29, tzinfo=UTC)) == datetime(
        2028, 2, 29, tzinfo=UTC
    )
    assert last_occurrence(hourly, datetime(2023, 1, 1, tzinfo=UTC)) is None


@pytest.mark.parametrize(
    ("rrule", "says"),
    [
        ("FREQ=MINUTELY", "at most one occurrence an hour"),
        ("FREQ=HOURLY;BYMINUTE=0,30", "at most one occurrence an hour"),
        ("FREQ=DAILY;BYSECOND=0,1", "at most one occurrence an hour"),
        ("FREQ=DAILY;COUNT=3", "UNTIL"),
        ("FREQ=DAILY;BYHOUR=25", "RFC 5545"),
        ("FREQ=DAILY;BYMONTHDAY=30", "MONTHLY or YEARLY"),
        ("FREQ=WEEKLY;BYDAY=2MO", "MONTHLY or YEARLY"),
        ("FREQ=DAILY;INTERVAL=7;BYDAY=TU", "INTERVAL=1 or WEEKLY"),
        ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", "never occurs"),
        ("FREQ=DAILY;FREQ=WEEKLY", "twice"),
        ("FREQ=DAILY;BYHUOR=3", 'Did you mean "byhour"?'),
        ("FREQ=DAILY;UNTIL=20261399", "RFC 5545"),
        ("DTSTART:20260101T000000\nRRULE:FREQ=DAILY", "valid.from"),
        ("every day", "FREQ"),
        ("", "not empty"),
    ],
)
def test_a_recurrence_that_is_none_is_refused(rrule: str, says: str) -> None:
    document = rule_json(trigger={"type": "schedule", "rrule": rrule, "audience": CITY})
    assert set(problems(parse_rule, document)) == {"trigger.rrule"}
    assert says in message(parse_rule, document)


def test_an_audience_is_asked_about_profiles_in_a_zone_that_is_one() -> None:
    event = {"all": [CITY, {"attr": "event.total", "op": "gt", "value": 1}]}
    found = wrong(type="schedule", rrule="FREQ=DAILY", zone="Europe/Pariss", audience=event)
    assert found == {"trigger.zone": "zone", "trigger.audience.all[1].attr": "profile_only"}
