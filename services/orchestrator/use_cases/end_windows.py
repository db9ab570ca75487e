"""What timers of arbitration windows do: judge together what waited for each other."""

from collections.abc import Sequence

from services.orchestrator.domain import window
from services.orchestrator.domain.answer import answer_window
from services.orchestrator.domain.decide import Question
from services.orchestrator.domain.gates import Situation
from services.orchestrator.domain.history import Held
from services.orchestrator.domain.record import deciding_stage
from services.orchestrator.storage.timers import Fired
from services.orchestrator.use_cases.naming import action_ids, window_decision_id
from services.orchestrator.use_cases.recall import Asked, recall_candidates
from services.orchestrator.use_cases.timer_round import Fire, Round, last_seen


async def end_windows(round_: Round, timers: Sequence[Fired]) -> Fire:
    """Profiles whose window may have ended; where it did not, the timer is set anew."""
    asked = {
        profile_id: [
            _ask(one, profile_id, round_)
            for one in window.due(round_.histories[profile_id], round_.at)
        ]
        for profile_id in {timer.profile_id for timer in timers}
    }
    triggered = [one for several in asked.values() for one in several if one.candidates]
    await recall_candidates(round_.tx, round_.histories, triggered)

    def fire(timer: Fired) -> None:
        history, effects = round_.histories[timer.profile_id], round_.effects
        waited = window.due(history, round_.at)
        if not waited:
            if history.held:
                effects.timers.append(window.first_end(history, timer.profile_id))
            return
        window.forget(history, waited, timer.profile_id, effects)
        answered = answer_window(
            [
                Question(one.candidates, Situation(one.moment, history, round_.at, one.action_id))
                for one in asked[timer.profile_id]
            ],
            ruleset=round_.ruleset,
            decision_id=window_decision_id(timer.ref, timer.id),
            effects=effects,
        )
        if answered is not None:
            decision, considered = answered
            round_.report.decided(None, decision.outcome, deciding_stage(considered))

    return fire


def _ask(held: Held, profile_id: str, round_: Round) -> Asked:
    """The touchpoint with the person as last seen, and those of its rules that are still live."""
    moment = last_seen(round_.locked[profile_id], profile_id, held.cause, round_.at)
    rules = round_.ruleset.rules
    live = (rules[key] for key in held.rules if key in rules)
    candidates = [one for one in live if one.rule.is_valid_at(round_.at)]
    return Asked(moment, candidates, action_ids(held.touchpoint_id))
