"""When waits end: tables of the days on which clocks jump, months end, and leap years differ."""

from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from services.orchestrator.domain.journeys.document import parse_journey
from services.orchestrator.domain.journeys.instants import (
    end_of_business,
    end_of_date,
    end_of_lasting,
)
from services.orchestrator.domain.journeys.journey import BusinessDays, Lasting, OnDate
from tests.unit.orchestrator.journeys.build import document, end, wait

PARIS, NEW_YORK = "Europe/Paris", "America/New_York"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def does(**fields: Any) -> Any:
    calendars = {"fr": {"holidays": ["2026-12-25", "2027-01-01"], "from": "09:00", "to": "18:00"},
                 "paris": {"zone": PARIS}}  # fmt: skip
    whole = document(wait("w", **fields), end(), calendars=calendars)
    journey = parse_journey(whole, key="k", version=1)
    return journey, journey.nodes["w"].does


@pytest.mark.parametrize(
    ("wait_", "zone", "since", "ends"),
    [
        # The night of 2026-03-29 in Paris: 02:00 becomes 03:00 at 01:00 UTC.
        ({"local_time": "02:30"}, PARIS, "2026-03-28T02:00", "2026-03-29T01:00"),
        ({"local_time": "02:30"}, PARIS, "2026-03-29T01:00", "2026-03-30T00:30"),
        ({"local_time": "03:00"}, PARIS, "2026-03-28T12:00", "2026-03-29T01:00"),
        ({"local_time": "01:59"}, PARIS, "2026-03-28T12:00", "2026-03-29T00:59"),
        # The night of 2026-10-25 in Paris: 03:00 becomes 02:00 at 01:00 UTC; 02:30 comes twice.
        ({"local_time": "02:30"}, PARIS, "2026-10-24T12:00", "2026-10-25T00:30"),
        ({"local_time": "02:30"}, PARIS, "2026-10-25T00:30", "2026-10-26T01:30"),
        ({"local_time": "02:30"}, PARIS, "2026-10-25T01:30", "2026-10-26T01:30"),
        # A length is a length: a day over the jump is 24 hours, and then the clock counts.
        ({"duration": "P1D"}, PARIS, "2026-03-28T12:00", "2026-03-29T12:00"),
        ({"duration": "P1D", "local_time": "10:00"}, PARIS, "2026-03-28T12:00", "2026-03-30T08:00"),
        ({"duration": "P1D", "local_time": "10:00"}, PARIS, "2026-11-23T09:00", "2026-11-24T09:00"),
        # Zones that jump at midnight, by half an hour, or over a whole day.
        ({"local_time": "00:00"}, "America/Havana", "2026-03-07T12:00", "2026-03-08T05:00"),
        ({"local_time": "02:15"}, "Australia/Lord_Howe", "2026-10-03T12:00", "2026-10-03T15:30"),
        ({"local_time": "12:00"}, "Pacific/Apia", "2011-12-29T23:00", "2011-12-30T10:00"),
        # Days of the week, over midnight in the person's zone.
        ({"local_time": "10:00", "weekdays": [1, 2, 3, 4, 5]}, PARIS, "2026-11-27T12:00",
         "2026-11-30T09:00"),
        ({"local_time": "10:00", "weekdays": [7]}, "Asia/Tokyo", "2026-11-28T16:00",
         "2026-11-29T01:00"),
        ({"local_time": "12:00"}, "UTC", "2026-11-23T12:00", "2026-11-24T12:00"),
        # The last day of short months.
        ({"local_time": "09:00", "month_day": 31}, "UTC", "2026-01-31T10:00", "2026-02-28T09:00"),
        ({"local_time": "09:00", "month_day": 31}, "UTC", "2028-02-01T10:00", "2028-02-29T09:00"),
        ({"local_time": "09:00", "month_day": 15}, "UTC", "2026-01-15T09:00", "2026-02-15T09:00"),
    ],
)  # fmt: skip
def test_lengths_and_clocks(wait_: dict[str, Any], zone: str, since: str, ends: str) -> None:
    _, lasting = does(**wait_)
    assert isinstance(lasting, Lasting)
    assert end_of_lasting(lasting, at(since), ZoneInfo(zone)) == at(ends)


@pytest.mark.parametrize("zone", [PARIS, NEW_YORK, "America/Havana", "Australia/Lord_Howe"])
def test_a_daily_wait_ends_once_on_every_day_of_the_year(zone: str) -> None:
    """The clock jump of a zone neither skips nor doubles a 02:30 wait."""
    for clock in ("00:00", "02:15", "02:30"):
        _, lasting = does(local_time=clock)
        since, days = at("2026-01-01T12:00"), list[date]()
        while len(days) < 365:
            since = end_of_lasting(lasting, since, ZoneInfo(zone))
            days.append(since.astimezone(ZoneInfo(zone)).date())
        assert len(set(days)) == 365
        assert (days[-1] - days[0]).days == 364


BIRTHDAY = {"date_attr": "profile.d", "local_time": "09:00", "annual": True}
RENEWAL = {"date_attr": "profile.d", "local_time": "09:00"}


@pytest.mark.parametrize(
    ("wait_", "value", "zone", "since", "ends"),
    [
        (BIRTHDAY, "1990-12-24", PARIS, "2026-11-23T12:00", "2026-12-24T08:00"),
        (BIRTHDAY, "1990-11-23", "UTC", "2026-11-23T08:59", "2026-11-23T09:00"),
        (BIRTHDAY, "1990-11-23", "UTC", "2026-11-23T09:00", "2027-11-23T09:00"),
        ({**BIRTHDAY, "offset": "-P7D"}, "1990-01-03", "UTC", "2026-12-26T12:00",
         "2026-12-27T09:00"),
        ({**BIRTHDAY, "offset": "-P7D"}, "1990-01-03", "UTC", "2026-12-27T12:00",
         "2027-12-27T09:00"),
        ({**BIRTHDAY, "offset": "P10D"}, "1990-12-24", "UTC", "2026-01-02T12:00",
         "2026-01-03T09:00"),
        (BIRTHDAY, "2000-02-29", "UTC", "2027-01-01T00:00", "2027-02-28T09:00"),
        (BIRTHDAY, "2000-02-29", "UTC", "2028-01-01T00:00", "2028-02-29T09:00"),
        ({**BIRTHDAY, "leap_day": "mar_1"}, "2000-02-29", "UTC", "2027-01-01T00:00",
         "2027-03-01T09:00"),
        ({**BIRTHDAY, "offset": "-P1D"}, "1990-03-01", "UTC", "2028-02-01T00:00",
         "2028-02-29T09:00"),
        (RENEWAL, "2026-12-01", PARIS, "2026-11-23T12:00", "2026-12-01T08:00"),
        (RENEWAL, "2026-12-01T23:30:00Z", PARIS, "2026-11-23T12:00", "2026-12-02T08:00"),
        ({**RENEWAL, "offset": "-P1D"}, "2026-03-01", "UTC", "2026-01-01T00:00",
         "2026-02-28T09:00"),
        (RENEWAL, "2026-11-01", "UTC", "2026-11-23T12:00", "2026-11-01T09:00"),
        (RENEWAL, "soon", "UTC", "2026-11-23T12:00", None),
        (RENEWAL, "2026-02-30", "UTC", "2026-11-23T12:00", None),
        (RENEWAL, "0001-01-01", "UTC", "2026-11-23T12:00", None),
        (RENEWAL, "9999-12-31", "UTC", "2026-11-23T12:00", None),
        (RENEWAL, 7, "UTC", "2026-11-23T12:00", None),
        (RENEWAL, None, "UTC", "2026-11-23T12:00", None),
    ],
)  # fmt: skip
def test_dates_of_traits(
    wait_: dict[str, Any], value: object, zone: str, since: str, ends: str | None
) -> None:
    _, on_date = does(**wait_)
    assert isinstance(on_date, OnDate)
    found = end_of_date(on_date, value, at(since), ZoneInfo(zone))
    assert found == (None if ends is None else at(ends))


@pytest.mark.parametrize(
    ("wait_", "zone", "since", "ends"),
    [
        ({"business_days": 1, "calendar": "fr"}, "UTC", "2026-12-23T12:00", "2026-12-24T09:00"),
        ({"business_days": 2, "calendar": "fr"}, "UTC", "2026-12-23T12:00", "2026-12-28T09:00"),
        ({"business_days": 1, "calendar": "fr"}, "UTC", "2026-12-26T12:00", "2026-12-28T09:00"),
        ({"business_days": 1, "calendar": "fr", "local_time": "14:00"}, PARIS, "2026-12-31T12:00",
         "2027-01-04T13:00"),
        ({"business_days": 0, "calendar": "fr"}, "UTC", "2026-12-23T12:00", "2026-12-23T12:00"),
        ({"business_days": 0, "calendar": "fr"}, "UTC", "2026-12-23T06:00", "2026-12-23T09:00"),
        ({"business_days": 0, "calendar": "fr"}, "UTC", "2026-12-24T18:00", "2026-12-28T09:00"),
        # The calendar's own zone counts: it is Monday 08:00 in Paris, still Sunday in New York.
        ({"business_days": 0, "calendar": "paris"}, NEW_YORK, "2026-11-30T04:00",
         "2026-11-30T08:00"),
    ],
)  # fmt: skip
def test_working_days(wait_: dict[str, Any], zone: str, since: str, ends: str) -> None:
    journey, business = does(**wait_)
    assert isinstance(business, BusinessDays)
    calendar = journey.calendars[business.calendar]
    assert end_of_business(business, calendar, at(since), ZoneInfo(zone)) == at(ends)
