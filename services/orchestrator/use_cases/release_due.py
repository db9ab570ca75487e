"""What timers of actions do: publish what waited, or take it back; close what has expired."""

from collections.abc import Sequence
from uuid import UUID

from services.orchestrator.domain.follow_up import fall_back
from services.orchestrator.domain.history import InFlight
from services.orchestrator.domain.release import EXPIRED, close, release
from services.orchestrator.storage import histories, outcomes
from services.orchestrator.storage.timers import Fired
from services.orchestrator.use_cases.naming import fallback_decision_id, timer_decision_id
from services.orchestrator.use_cases.recall import recall_tried
from services.orchestrator.use_cases.timer_round import Fire, Round


async def release_due(round_: Round, timers: Sequence[Fired]) -> Fire:
    """Actions whose instant has come. What cannot happen any more may be followed by a fallback."""
    bodies = await histories.read_bodies(round_.tx, [timer.ref for timer in timers])
    await _recall_tried(round_, timers)

    def fire(timer: Fired) -> None:
        action = round_.in_flight(timer)
        if action is None:
            return
        stopped = release(
            action,
            bodies[timer.ref],
            round_.situation(action, timer.profile_id),
            ruleset=round_.ruleset,
            decision_id=timer_decision_id(timer.ref, timer.gen),
            effects=round_.effects,
        )
        if stopped is None:
            return
        round_.report.decided(None, stopped.decision.outcome, "chosen")
        if stopped.kind is not None:
            _follow(round_, action, timer, stopped.kind)

    return fire


async def close_due(round_: Round, timers: Sequence[Fired]) -> Fire:
    """Published actions whose time is up: they can be taken back no more. What the customer did
    nothing with may be followed by a fallback."""
    silent: set[UUID] = set()
    if await _recall_tried(round_, timers):
        silent = await outcomes.unanswered(round_.tx, [timer.ref for timer in timers])

    def fire(timer: Fired) -> None:
        action = round_.in_flight(timer)
        if action is None:
            return
        if timer.ref in silent:
            _follow(round_, action, timer, EXPIRED)
        if round_.in_flight(timer) is not None:
            close(action, round_.situation(action, timer.profile_id), round_.effects)

    return fire


async def _recall_tried(round_: Round, timers: Sequence[Fired]) -> bool:
    """Read which fallbacks were tried of the actions that are due; whether any has fallbacks."""
    due = [action for timer in timers if (action := round_.in_flight(timer)) is not None]
    rules = (round_.ruleset.rules.get(action.rule) for action in due)
    if not any(live is not None and live.has_fallbacks for live in rules):
        return False
    await recall_tried(round_.tx, round_.histories, due, round_.ruleset)
    return True


def _follow(round_: Round, action: InFlight, timer: Fired, reason: str) -> None:
    decision = fall_back(
        round_.effects,
        action,
        {reason},
        round_.situation(action, timer.profile_id),
        ruleset=round_.ruleset,
        decision_id=fallback_decision_id(action.action_id, [reason]),
    )
    if decision is not None:
        round_.report.decided(None, decision.outcome, "chosen")
