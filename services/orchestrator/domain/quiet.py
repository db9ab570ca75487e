"""When an action may happen at the earliest, with the quiet hours of its person in the way."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.orchestrator.domain.contact_policy import ContactPolicy
from services.orchestrator.domain.drop import Drop
from services.orchestrator.domain.quiet_hours import QuietHours
from services.orchestrator.domain.zone import Zone
from shared.conditions.duration import duration_in_words
from shared.contracts.times import rfc3339


@dataclass(frozen=True, slots=True)
class Instant:
    """When an action happens; `waits_for` says what it waits for beyond its own delay, if so."""

    at: datetime
    waits_for: str | None = None


def planned_instant(
    policies: Iterable[ContactPolicy], *, channel: str, category: str, at: datetime, zone: Zone
) -> Instant | Drop:
    """When an action that is due at an instant may happen, outside all quiet hours.

    The end of one silence may be in the next one; then it waits for that too. It is dropped where
    one discards, and when it would wait longer than one of those it met allows.
    """
    silences = [
        quiet
        for policy in policies
        if category not in policy.bypass
        for quiet in policy.quiet_hours
        if quiet.covers(channel, category)
    ]
    due, met, longest = at, "", timedelta.max
    while (found := _silence(silences, due, zone)) is not None:
        quiet, ends = found
        met = quiet.words(zone)
        if quiet.discards:
            return _dropped("quiet_hours", f"outside {met}", None, due)
        longest = min(longest, quiet.max_defer)
        if ends - at > longest:
            waits = f"waits at most {duration_in_words(longest)} for the end of {met}"
            return _dropped("deferred_too_long", waits, at + longest, ends)
        due = ends
    return Instant(due, met or None)


def _silence(
    silences: Sequence[QuietHours], at: datetime, zone: Zone
) -> tuple[QuietHours, datetime] | None:
    """The silence that an instant is in: one that discards if there is any, else the one that
    ends last."""
    found = [(quiet, ends) for quiet in silences if (ends := quiet.over(at, zone)) is not None]
    return max(found, key=lambda one: (one[0].discards, one[1]), default=None)


def _dropped(reason: str, words: str, expected: datetime | None, actual: datetime) -> Drop:
    wanted = None if expected is None else rfc3339(expected)
    return Drop("quiet_hours", reason, words, wanted, rfc3339(actual))
