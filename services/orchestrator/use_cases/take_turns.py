"""Gives the runs of a batch their places in lines, and what follows from that its effects."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from services.orchestrator.domain.effects import Effects, Wait
from services.orchestrator.domain.history import History
from services.orchestrator.domain.journeys.facts import RESUME, Placed, Resumed
from services.orchestrator.domain.timer import Timer
from services.orchestrator.domain.travel import Travel
from services.orchestrator.storage import runs
from services.orchestrator.storage.histories import Histories
from shared.postgres.transaction import Tx

NOTHING = timedelta(0)
GoOn = Callable[[str, UUID, Callable[[Travel], None]], None]
"""Tells the runs of a person something, named by an id, and gives what follows its effects."""


async def take_turns(
    tx: Tx, effects: Effects, histories: Histories, at: datetime, go_on: GoOn
) -> None:
    """Give a place to every run that wants one, until none does."""
    while effects.places:
        waiting, effects.places = effects.places, []
        first = await runs.take_places(
            tx, [((one.journey, one.node), one.interval) for one in waiting], at
        )
        await runs.give_back(tx, left_over(waiting, first, at))
        give_places(waiting, first, effects, histories, at, go_on)


def give_places(
    waiting: Sequence[Wait],
    first: Mapping[runs.Line, datetime],
    effects: Effects,
    histories: Histories,
    at: datetime,
    go_on: GoOn,
) -> None:
    """Of each line `first` has the first place that is theirs; they follow it, one interval
    apart."""
    for one, place in _placed(waiting, first):
        _place(effects, histories, one, place, at, go_on)


def left_over(
    waiting: Sequence[Wait], first: Mapping[runs.Line, datetime], at: datetime
) -> dict[runs.Line, timedelta]:
    """For how long nobody stands at the end of each line: those whose place is there do not wait
    until then. If they kept it, all who come later would be too late as well, and nobody would
    pass."""
    found: dict[runs.Line, timedelta] = {}
    for one, place in _placed(waiting, first):
        line = (one.journey, one.node)
        late = place - at > one.max_wait
        found[line] = found.get(line, NOTHING) + one.interval if late else NOTHING
    return {line: time for line, time in found.items() if time}


def _placed(
    waiting: Sequence[Wait], first: Mapping[runs.Line, datetime]
) -> Iterator[tuple[Wait, datetime]]:
    taken: dict[runs.Line, int] = {}
    for one in waiting:
        line = (one.journey, one.node)
        number = taken.get(line, 0)
        taken[line] = number + 1
        yield one, first[line] + number * one.interval


def _place(
    effects: Effects,
    histories: Histories,
    wait: Wait,
    place: datetime,
    at: datetime,
    go_on: GoOn,
) -> None:
    history = histories.get(wait.profile_id, History())
    if wait.run not in history.runs:
        return  # it was over before its turn was known
    if wait.node:
        go_on(
            wait.profile_id,
            wait.run,
            lambda travel: travel.tell(
                wait.run, Placed(wait.occurrence, place, travel.person(wait.run))
            ),
        )
    elif place <= at:
        go_on(
            wait.profile_id,
            wait.run,
            lambda travel: travel.tell(wait.run, Resumed(travel.person(wait.run))),
        )
    else:
        gen = history.runs[wait.run].run.gen
        effects.timers.append(Timer(place, RESUME, wait.profile_id, wait.run, gen))
