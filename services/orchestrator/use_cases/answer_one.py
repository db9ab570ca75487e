"""One update answered: what its touchpoint says of an action, what runs and rules make of it.

Everything was read before, and nothing is written here. The worker does it for the updates of a
batch, a rehearsal for those of a period.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from services.orchestrator.domain.answer import answer
from services.orchestrator.domain.effects import Effects, mark_exit
from services.orchestrator.domain.expose import measure
from services.orchestrator.domain.gates import Situation
from services.orchestrator.domain.travel import Travel
from services.orchestrator.domain.trigger_index import RuleSet
from services.orchestrator.domain.update import Moment
from services.orchestrator.use_cases.go_on import go_on, loaded
from services.orchestrator.use_cases.naming import action_ids, decision_id, round_decision_id
from services.orchestrator.use_cases.note_outcomes import Outcomes
from services.orchestrator.use_cases.recall import Asked
from services.orchestrator.use_cases.report import Counting


def ask(moment: Moment, ruleset: RuleSet, at: datetime) -> Asked:
    """What an update triggers at an instant, as far as its event and its changes say."""
    cause = moment.cause
    found = ruleset.candidates(moment.facts, cause) if cause.id else []
    candidates = [live for live in found if live.rule.is_valid_at(at)]
    entering = ruleset.journeys.entering(moment.facts, cause) if cause.id else []
    return Asked(moment, candidates, action_ids(cause.id or ""), entering)


def answer_one(
    one: Asked,
    situation: Situation,
    noting: Outcomes,
    ruleset: RuleSet,
    effects: Effects,
    report: Counting,
    *,
    seen: Moment,
) -> None:
    """Give an update its effects; `seen` is the same with the person as their runs see them. Raises
    Infrastructure where a run goes by a version that is not loaded yet."""
    moment, first = one.moment, decision_id(one.moment)
    for mark in sorted(ruleset.journeys.exits(moment.facts)):
        mark_exit(effects, situation.history, moment, mark)
    heard = noting.note(moment, situation)
    measure(effects, moment, ruleset, situation.at)
    shown = situation if seen is moment else replace(situation, moment=seen)
    travel = Travel(shown, ruleset, effects, first)
    with loaded():
        travel.happened()
        if heard is not None:
            travel.heard(*heard)
        travel.enter(one.entering)
        answered = answer(
            situation,
            one.candidates,
            ruleset=ruleset,
            decision_id=first,
            effects=effects,
            action_ids=action_ids,
            travel=travel,
        )
        if answered is not None:
            decision, considered = answered
            report.decided(moment, decision.outcome, considered)
            travel.answered(considered)
    go_on(travel, shown, ruleset, effects, first, report)


def tell_more(
    situation: Situation,
    named: UUID,
    tell: Callable[[Travel], None],
    ruleset: RuleSet,
    effects: Effects,
    report: Counting,
) -> None:
    """Tell the runs of a person something more, as of the last update of theirs, and give what
    follows its effects. Raises Infrastructure, as `answer_one` does."""
    first = round_decision_id(decision_id(situation.moment), str(named))
    travel = Travel(situation, ruleset, effects, first)
    with loaded():
        tell(travel)
    go_on(travel, situation, ruleset, effects, first, report)
