"""Laws of quiet hours around the nights on which clocks jump: nothing is planned into a silence."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from services.orchestrator.domain.quiet import Instant, planned_instant
from services.orchestrator.domain.zone import Zone
from tests.unit.orchestrator.build import policy

JUMPS = {
    "Europe/Paris": ["2026-03-29T01:00", "2026-10-25T01:00"],
    "America/New_York": ["2026-03-08T07:00", "2026-11-01T06:00"],
    "America/Havana": ["2026-03-08T05:00", "2026-11-01T05:00"],  # at midnight
    "Africa/Cairo": ["2026-04-23T22:00", "2026-10-29T21:00"],  # at midnight
    "Australia/Lord_Howe": ["2026-04-04T15:00", "2026-10-03T15:30"],  # by half an hour
}
NIGHTS = [
    (zone, datetime.fromisoformat(jump).replace(tzinfo=UTC))
    for zone, jumps in JUMPS.items()
    for jump in jumps
]
CLOCKS = st.builds(
    lambda hour, minute: f"{hour:02}:{minute:02}",
    st.sampled_from([0, 1, 2, 3, 4, 8, 20, 23]), st.sampled_from([0, 15, 30, 45]),
)  # fmt: skip
SILENCES = st.fixed_dictionaries(
    {"from": CLOCKS, "to": CLOCKS},
    optional={"days": st.lists(st.integers(1, 7), min_size=1, unique=True)},
)


def is_quiet(silence: dict[str, Any], local: datetime) -> bool:
    """Whether the clock on the wall shows a time of the silence."""
    shown, days = local.strftime("%H:%M"), silence.get("days", [1, 2, 3, 4, 5, 6, 7])
    today, yesterday = local.isoweekday(), (local - timedelta(days=1)).isoweekday()
    if silence["from"] < silence["to"]:
        return today in days and silence["from"] <= shown < silence["to"]
    return (today in days and shown >= silence["from"]) or (
        yesterday in days and shown < silence["to"]
    )


@settings(max_examples=2_000, deadline=None)
@given(
    st.lists(SILENCES, min_size=1, max_size=3), st.sampled_from(NIGHTS), st.integers(-1_800, 1_800)
)  # fmt: skip
def test_nothing_is_planned_into_a_silence(
    silences: list[dict[str, Any]], night: tuple[str, datetime], minutes: int
) -> None:
    name, jump = night
    zone, at = ZoneInfo(name), jump + timedelta(minutes=minutes)
    found = planned_instant(
        [policy(quiet_hours=silences)],
        channel="sms",
        category="marketing",
        at=at,
        zone=Zone(name, "profile"),
    )
    if not isinstance(found, Instant):
        return
    assert found.at >= at
    assert (found.at > at) == (found.waits_for is not None)
    assert not any(is_quiet(silence, found.at.astimezone(zone)) for silence in silences)
    if found.at > at:
        # It waits no longer than it has to: until just before, something kept silent; or a clock
        # that was put back shows a second time what is over already.
        before = (found.at - timedelta(minutes=1)).astimezone(zone)
        twice = before.fold == 1 or (found.at - timedelta(hours=1)).astimezone(zone).fold == 1
        assert twice or any(is_quiet(silence, before) for silence in silences) or _jumped(before)


def _jumped(before: datetime) -> bool:
    """Whether the clock was put forward within a minute after."""
    after = (before.astimezone(UTC) + timedelta(minutes=1)).astimezone(before.tzinfo)
    return after.utcoffset() != before.utcoffset()
