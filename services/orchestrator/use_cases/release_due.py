"""What timers of actions do: publish what waited, or take it back; close what has expired."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from services.orchestrator.domain.answer import REFUSED
from services.orchestrator.domain.follow_up import fall_back
from services.orchestrator.domain.history import InFlight
from services.orchestrator.domain.release import EXPIRED, close, release
from services.orchestrator.storage import histories, outcomes
from services.orchestrator.storage.timers import Fired
from services.orchestrator.use_cases.naming import (
    fallback_decision_id,
    round_decision_id,
    timer_decision_id,
)
from services.orchestrator.use_cases.recall import recall_tried
from services.orchestrator.use_cases.run_due import tell_run
from services.orchestrator.use_cases.timer_round import (
    Fire,
    Firing,
    Round,
    in_flight,
    situation_in,
)


async def release_due(round_: Round, timers: Sequence[Fired]) -> Fire:
    """Actions whose instant has come. What cannot happen any more may be followed by a fallback."""
    bodies = await histories.read_bodies(round_.tx, [timer.ref for timer in timers])
    await _recall_tried(round_, timers)
    return lambda timer: release_one(round_, timer, bodies)


def release_one(firing: Firing, timer: Fired, bodies: Mapping[UUID, bytes]) -> None:
    """An action whose instant has come; `bodies` has its message as it was planned."""
    action = in_flight(firing, timer)
    if action is None:
        return
    stopped = release(
        action,
        bodies[timer.ref],
        situation_in(firing, action, timer.profile_id),
        ruleset=firing.ruleset,
        decision_id=timer_decision_id(timer.ref, timer.gen),
        effects=firing.effects,
    )
    if stopped is None:
        return
    firing.report.decided(None, stopped.decision.outcome)
    followed = stopped.kind is not None and _follow(firing, action, timer, stopped.kind)
    if action.step is not None and not followed:
        _tell_run(firing, action, action.step.run, timer, stopped.kind or REFUSED)


async def close_due(round_: Round, timers: Sequence[Fired]) -> Fire:
    """Published actions whose time is up: they can be taken back no more. What the customer did
    nothing with may be followed by a fallback."""
    silent: set[UUID] = set()
    if await _recall_tried(round_, timers):
        silent = await outcomes.unanswered(round_.tx, [timer.ref for timer in timers])
    return lambda timer: close_one(round_, timer, silent=timer.ref in silent)


def close_one(firing: Firing, timer: Fired, *, silent: bool) -> None:
    """A published action whose time is up; `silent`: something else may be done instead, because
    the customer did nothing with it."""
    action = in_flight(firing, timer)
    if action is None:
        return
    if silent:
        _follow(firing, action, timer, EXPIRED)
    if in_flight(firing, timer) is not None:
        close(action, situation_in(firing, action, timer.profile_id), firing.effects)


async def _recall_tried(round_: Round, timers: Sequence[Fired]) -> bool:
    """Read which fallbacks were tried of the actions that are due; whether any has fallbacks."""
    due = [action for timer in timers if (action := in_flight(round_, timer)) is not None]
    rules = (round_.ruleset.acting.get(action.rule) for action in due)
    if not any(live is not None and live.has_fallbacks for live in rules):
        return False
    await recall_tried(round_.tx, round_.histories, due, round_.ruleset)
    return True


def _tell_run(firing: Firing, action: InFlight, run_id: UUID, timer: Fired, answer: str) -> None:
    """The run that asked for an action hears that nothing comes of it."""
    if run_id not in firing.histories[timer.profile_id].runs:
        return
    about = action.instead_of or action.action_id
    decision_id = round_decision_id(timer_decision_id(timer.ref, timer.gen), str(run_id))
    tell_run(
        firing, timer.profile_id, run_id, decision_id, lambda travel: travel.heard(about, answer)
    )


def _follow(firing: Firing, action: InFlight, timer: Fired, reason: str) -> bool:
    """Do something else instead, if there is something; whether there was."""
    decision = fall_back(
        firing.effects,
        action,
        {reason},
        situation_in(firing, action, timer.profile_id),
        ruleset=firing.ruleset,
        decision_id=fallback_decision_id(action.action_id, [reason]),
    )
    if decision is not None:
        firing.report.decided(None, decision.outcome)
    return decision is not None and bool(decision.action_ids)
