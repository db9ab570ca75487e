"""What timers of actions do: publish what waited, or take it back; close what has expired."""

from collections.abc import Sequence

from services.orchestrator.domain.release import close, release
from services.orchestrator.storage import histories
from services.orchestrator.storage.timers import Fired
from services.orchestrator.use_cases.naming import timer_decision_id
from services.orchestrator.use_cases.timer_round import Fire, Round


async def release_due(round_: Round, timers: Sequence[Fired]) -> Fire:
    """Actions whose instant has come."""
    bodies = await histories.read_bodies(round_.tx, [timer.ref for timer in timers])

    def fire(timer: Fired) -> None:
        action = round_.in_flight(timer)
        if action is None:
            return
        decision = release(
            action,
            bodies[timer.ref],
            round_.situation(action, timer.profile_id),
            ruleset=round_.ruleset,
            decision_id=timer_decision_id(timer.ref, timer.gen),
            effects=round_.effects,
        )
        if decision is not None:
            round_.report.decided(None, decision.outcome, "chosen")

    return fire


async def close_due(round_: Round, _: Sequence[Fired]) -> Fire:
    """Published actions that could be taken back until now."""

    def fire(timer: Fired) -> None:
        action = round_.in_flight(timer)
        if action is not None:
            close(action, round_.situation(action, timer.profile_id), round_.effects)

    return fire
