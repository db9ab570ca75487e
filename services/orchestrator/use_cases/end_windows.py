"""What timers of arbitration windows do: judge together what waited for each other."""

from collections.abc import Sequence

from services.orchestrator.domain import window
from services.orchestrator.domain.answer import answer_window
from services.orchestrator.domain.decide import Question
from services.orchestrator.domain.gates import Situation
from services.orchestrator.domain.history import Held
from services.orchestrator.storage.timers import Fired
from services.orchestrator.use_cases.naming import action_ids, window_decision_id
from services.orchestrator.use_cases.recall import Asked, recall_candidates
from services.orchestrator.use_cases.timer_round import Fire, Firing, Round, last_seen


async def end_windows(round_: Round, timers: Sequence[Fired]) -> Fire:
    """Profiles whose window may have ended; where it did not, the timer is set anew."""
    persons = {timer.profile_id for timer in timers}
    asked = {profile_id: asked_in_window(round_, profile_id) for profile_id in persons}
    triggered = [one for several in asked.values() for one in several if one.candidates]
    await recall_candidates(round_.tx, round_.histories, triggered)
    return lambda timer: end_one(round_, timer, asked[timer.profile_id])


def asked_in_window(firing: Firing, profile_id: str) -> list[Asked]:
    """What of a person waits until now at the latest, in the order in which it came."""
    due = window.due(firing.histories[profile_id], firing.at)
    return [_ask(one, profile_id, firing) for one in due]


def end_one(firing: Firing, timer: Fired, asked: Sequence[Asked]) -> None:
    """A window that may have ended, and what waited in it."""
    history, effects = firing.histories[timer.profile_id], firing.effects
    waited = window.due(history, firing.at)
    if not waited:
        if history.held:
            effects.timers.append(window.first_end(history, timer.profile_id))
        return
    window.forget(history, waited, timer.profile_id, effects)
    answered = answer_window(
        [
            Question(one.candidates, Situation(one.moment, history, firing.at, one.action_id))
            for one in asked
        ],
        ruleset=firing.ruleset,
        decision_id=window_decision_id(timer.ref, timer.id),
        effects=effects,
    )
    if answered is not None:
        decision, considered = answered
        firing.report.decided(None, decision.outcome, considered)


def _ask(held: Held, profile_id: str, firing: Firing) -> Asked:
    """The touchpoint with the person as last seen, and those of its rules that are still live."""
    moment = last_seen(firing.locked[profile_id], profile_id, held.cause, firing.at)
    rules = firing.ruleset.rules
    live = (rules[key] for key in held.rules if key in rules)
    candidates = [one for one in live if one.rule.is_valid_at(firing.at)]
    return Asked(moment, candidates, action_ids(held.touchpoint_id))
