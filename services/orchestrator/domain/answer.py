"""What one profile update causes: what is taken back, what is decided, and the record of both.

Pure but for `effects` and `history`, which it changes in step: the next update of the same profile
is answered knowing this one.
"""

from collections.abc import Sequence
from uuid import UUID

from services.orchestrator.domain.decide import Considered, Question, judge
from services.orchestrator.domain.effects import Effects, mark_exit, record, retract
from services.orchestrator.domain.enact import enact
from services.orchestrator.domain.exit import ended
from services.orchestrator.domain.gates import Situation
from services.orchestrator.domain.history import History, InFlight
from services.orchestrator.domain.record import decision_record
from services.orchestrator.domain.replay import keep
from services.orchestrator.domain.trigger_index import LiveRule, RuleSet
from services.orchestrator.domain.window import consider, hold, let_go
from shared.contracts.decision import Decision


def answer(
    situation: Situation,
    candidates: Sequence[LiveRule],
    *,
    ruleset: RuleSet,
    decision_id: UUID,
    effects: Effects,
) -> tuple[Decision, list[Considered]] | None:
    """The decision with its candidates; None when nothing was considered and nothing taken back."""
    moment, history = situation.moment, situation.history
    exits = {event.criterion for event in ruleset.exits(moment.facts)}
    for criterion in sorted(exits):
        mark_exit(effects, history, moment, criterion)
    retracts: list[tuple[UUID, str]] = []
    # By id: the order must not depend on which batch an action was planned in.
    for _, action in sorted(history.in_flight.items()):
        reason = ended(action, moment, history, ruleset, exits, situation.at)
        if reason is not None:
            retracts.append((action.action_id, reason))
            retract(
                effects,
                history,
                action,
                decision_id=decision_id,
                status="retracted",
                reason=reason,
            )
    if history.held:
        retracts += let_go(situation, exits, ruleset, effects)
    considered = consider(candidates, situation, ruleset) if candidates else []
    if not considered and not retracts:
        return None
    if considered:
        keep(effects, [Question(candidates, situation)], ruleset, decision_id)
    decision = decision_record(
        decision_id=decision_id,
        profile_id=moment.profile_id,
        profile_version=moment.seq,
        touchpoint_id=moment.cause.touchpoint,
        at=situation.at,
        considered=considered,
        retracts=retracts,
        taken_back=effects.taken_back,
        ruleset=ruleset,
        zone=ruleset.joint.zone_for_record(moment.profile),
    )
    record(effects, decision, decision_id, situation.at)
    for one in considered:
        if one.planned:
            _enact(effects, history, one, decision_id)
    hold(considered, ruleset, effects)
    return decision, considered


def answer_window(
    questions: Sequence[Question],
    *,
    ruleset: RuleSet,
    decision_id: UUID,
    effects: Effects,
) -> tuple[Decision, list[Considered]] | None:
    """The decision over all candidates that waited for each other; None when none is left. The
    situations have one history, one profile and one instant."""
    considered = judge(questions, ruleset)
    if not considered:
        return None
    asked = [question for question in questions if question.candidates]
    keep(effects, asked, ruleset, decision_id, together=True)
    situation = considered[0].situation
    decision = decision_record(
        decision_id=decision_id,
        profile_id=situation.moment.profile_id,
        profile_version=situation.moment.seq,
        touchpoint_id=situation.moment.cause.touchpoint,
        at=situation.at,
        considered=considered,
        retracts=[],
        ruleset=ruleset,
        zone=ruleset.joint.zone_for_record(situation.moment.profile),
        together=True,
    )
    record(effects, decision, decision_id, situation.at)
    for one in considered:
        if one.planned:
            _enact(effects, situation.history, one, decision_id)
    return decision, considered


def _enact(effects: Effects, history: History, one: Considered, decision_id: UUID) -> None:
    moment, at = one.situation.moment, one.situation.at
    enact(effects, history, one, moment=moment, decision_id=decision_id, at=at)


def take_back(
    action: InFlight,
    situation: Situation,
    *,
    status: str,
    reason: str,
    ruleset: RuleSet,
    decision_id: UUID,
    effects: Effects,
) -> Decision:
    """Take a waiting action back when it is due and must not happen any more; with a record."""
    moment = situation.moment
    retract(
        effects,
        situation.history,
        action,
        decision_id=decision_id,
        status=status,
        reason=reason,
    )
    decision = decision_record(
        decision_id=decision_id,
        profile_id=moment.profile_id,
        profile_version=moment.seq,
        touchpoint_id=moment.cause.touchpoint,
        at=situation.at,
        considered=[],
        retracts=[(action.action_id, reason)],
        taken_back=effects.taken_back,
        ruleset=ruleset,
    )
    record(effects, decision, decision_id, situation.at)
    return decision
