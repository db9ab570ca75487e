"""What timers of runs do: a run takes its next step, or its turn to enter or to go on."""

from collections.abc import Callable, Sequence
from uuid import UUID

from services.orchestrator.domain.gates import Situation
from services.orchestrator.domain.history import History
from services.orchestrator.domain.journeys.facts import Due, Fact, Released, Resumed
from services.orchestrator.domain.travel import Travel
from services.orchestrator.storage.timers import Fired
from services.orchestrator.use_cases.go_on import go_on, loaded
from services.orchestrator.use_cases.naming import (
    action_ids,
    round_decision_id,
    timer_decision_id,
)
from services.orchestrator.use_cases.timer_round import Fire, Firing, Round, last_seen


async def run_due(round_: Round, timers: Sequence[Fired]) -> Fire:
    """Runs that waited for an instant. A timer of an earlier step has no effect."""
    return lambda timer: wake_one(round_, timer)


def wake_one(firing: Firing, timer: Fired) -> None:
    """A run that waited for an instant."""
    run = firing.histories[timer.profile_id].runs.get(timer.ref)
    if run is not None and run.run.gen == timer.gen:
        tell_run(
            firing,
            timer.profile_id,
            timer.ref,
            timer_decision_id(timer.ref, timer.gen),
            lambda travel: travel.tell(timer.ref, Due(timer.gen, travel.person(timer.ref))),
        )


async def resume_due(round_: Round, timers: Sequence[Fired]) -> Fire:
    """Runs whose turn at the entrance it is."""
    return lambda timer: resume_one(round_, timer)


def resume_one(firing: Firing, timer: Fired) -> None:
    """A run whose turn at the entrance it is."""
    _take_turn(firing, timer, lambda travel: Resumed(travel.person(timer.ref)))


async def go_on_due(round_: Round, timers: Sequence[Fired]) -> Fire:
    """Runs that may go on after a pause."""
    return lambda timer: _take_turn(
        round_, timer, lambda travel: Released(travel.person(timer.ref))
    )


def _take_turn(firing: Firing, timer: Fired, fact: Callable[[Travel], Fact]) -> None:
    if timer.ref in firing.histories[timer.profile_id].runs:
        tell_run(
            firing,
            timer.profile_id,
            timer.ref,
            round_decision_id(timer_decision_id(timer.ref, timer.gen), f"{timer.kind}/{timer.id}"),
            lambda travel: travel.tell(timer.ref, fact(travel)),
        )


def tell_run(
    firing: Firing,
    profile_id: str,
    run_id: UUID,
    decision_id: UUID,
    tell: Callable[[Travel], None],
) -> None:
    """Tell a run of a person something, as they were last seen, and give what follows its effects.
    The decisions about that have ids made from `decision_id`."""
    history = firing.histories[profile_id]
    situation = _situation(firing, profile_id, run_id, history)
    travel = Travel(situation, firing.ruleset, firing.effects, decision_id)
    with loaded():
        tell(travel)
    go_on(travel, situation, firing.ruleset, firing.effects, decision_id, firing.report)


def _situation(firing: Firing, profile_id: str, run_id: UUID, history: History) -> Situation:
    cause = history.runs[run_id].cause
    moment = last_seen(firing.locked[profile_id], profile_id, cause, firing.at)
    return Situation(moment, history, firing.at, action_ids(moment.cause.id or ""))
