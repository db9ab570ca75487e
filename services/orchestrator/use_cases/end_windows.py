"""Judges together the candidates that waited for the end of an arbitration window.

Part of the transaction that fires timers: the profiles are locked, and what is decided is written
with everything else that fires.
"""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from services.orchestrator.domain import window
from services.orchestrator.domain.answer import answer_window
from services.orchestrator.domain.decide import Question
from services.orchestrator.domain.effects import Effects
from services.orchestrator.domain.gates import Situation
from services.orchestrator.domain.history import Held, History
from services.orchestrator.domain.record import deciding_stage
from services.orchestrator.domain.trigger_index import RuleSet
from services.orchestrator.domain.update import Moment, cause_decoder, facts_of
from services.orchestrator.storage.histories import Histories
from services.orchestrator.storage.profile_states import Locked
from services.orchestrator.storage.timers import Fired
from services.orchestrator.use_cases.naming import action_ids, window_decision_id
from services.orchestrator.use_cases.recall import Asked, recall_candidates
from services.orchestrator.use_cases.report import Report
from shared.contracts.profile_update import snapshot_decoder


async def end_windows(
    tx: AsyncConnection,
    ending: Mapping[str, Fired],
    locked: Mapping[str, Locked],
    found: Histories,
    ruleset: RuleSet,
    effects: Effects,
    report: Report,
    at: datetime,
) -> None:
    """Decide for the profiles whose window may have ended, by the timer that says so."""
    asked: dict[str, list[Asked]] = {}
    for profile_id in ending:
        history = found[profile_id]
        waited = window.due(history, at)
        if waited:
            window.forget(history, waited, profile_id, effects)
            asked[profile_id] = [_ask(one, locked[profile_id], profile_id, ruleset, at)
                                 for one in waited]  # fmt: skip
        elif history.held:
            first = min(history.held.values(), key=lambda one: (one.ends_at, one.touchpoint_id))
            effects.timers.append(window.end_of(first, profile_id))
    triggered = [one for several in asked.values() for one in several if one.candidates]
    await recall_candidates(tx, found, triggered, ruleset, at)
    for profile_id, several in asked.items():
        timer = ending[profile_id]
        answered = answer_window(
            [_question(one, found[profile_id], at) for one in several],
            ruleset=ruleset,
            decision_id=window_decision_id(timer.ref, timer.id),
            effects=effects,
        )
        if answered is not None:
            decision, considered = answered
            report.decided(None, decision.outcome, deciding_stage(considered))


def _ask(held: Held, row: Locked, profile_id: str, ruleset: RuleSet, at: datetime) -> Asked:
    """The touchpoint with the person as last seen, and those of its rules that are still live."""
    assert row.snapshot is not None  # noqa: S101 - the table's CHECK, while something is held
    cause = cause_decoder.decode(held.cause)
    profile = snapshot_decoder.decode(row.snapshot)
    moment = Moment(
        profile_id=profile_id,
        of=profile_id,
        seq=row.last_seq,
        cause=cause,
        cause_json=held.cause,
        profile=profile,
        profile_json=row.snapshot,
        facts=facts_of(profile, cause, at),
        occurred=cause.occurred,
    )
    live = (ruleset.rules[key] for key in held.rules if key in ruleset.rules)
    candidates = [one for one in live if one.rule.is_valid_at(at)]
    return Asked(moment, candidates, action_ids(held.touchpoint_id))


def _question(one: Asked, history: History, at: datetime) -> Question:
    return Question(one.candidates, Situation(one.moment, history, at, one.action_id))
