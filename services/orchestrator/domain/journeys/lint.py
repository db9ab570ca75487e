"""What is probably not meant in a journey that is allowed: warnings, which stop nothing."""

from collections.abc import Iterator
from datetime import datetime

from services.orchestrator.domain.journeys.document import awaited_in, conditions_of
from services.orchestrator.domain.journeys.journey import Awaited, Journey
from services.orchestrator.domain.lint import is_over, never_hold, segments_in
from shared.conditions.parse import parse_condition
from shared.conditions.tree import Condition
from shared.errors import Problem


def warnings_of_journey(journey: Journey, now: datetime) -> list[Problem]:
    """The warnings about a journey alone."""
    return [
        *never_hold(conditions_in(journey)),
        *is_over(journey.valid_to, journey.entry.schedule, "entry", now),
        *_own_entry(journey),
    ]


def conditions_in(journey: Journey) -> Iterator[tuple[str, Condition]]:
    """Every condition, those about later touchpoints and the audience among them, with its
    place."""
    if journey.entry.schedule is not None:
        yield "entry.audience", parse_condition(journey.entry.schedule.audience)
    yield from conditions_of(journey)
    for path, awaited in awaited_in(journey):
        if awaited.where is not None:
            yield f"{path}.where", awaited.where


def segments_of_journey(journey: Journey) -> dict[str, str]:
    """The segments that the journey names, with the place of the first mention."""
    return segments_in(journey.entry, "entry", conditions_in(journey))


def _own_entry(journey: Journey) -> Iterator[Problem]:
    """What lets people in ends their run when it comes again."""
    entry = journey.entry
    for place, one in enumerate(journey.exit_criteria):
        if (
            isinstance(one, Awaited)
            and one.event == entry.event
            and one.key is None
            and one.where in (None, entry.where)
        ):
            again = "is the entry itself: when it comes again, it ends the run that it began"
            yield Problem(f"exit_criteria[{place}]", "own_trigger", again)
