"""What one profile update causes: what is taken back, what is decided, and the record of both.

Pure but for `effects` and `history`, which it changes in step: the next update of the same profile
is answered knowing this one.
"""

from collections.abc import Collection, Sequence
from uuid import UUID

from services.orchestrator.domain.decide import Considered, Question, judge
from services.orchestrator.domain.effects import Effects, mark_exit, record, retract
from services.orchestrator.domain.enact import enact
from services.orchestrator.domain.exit import ended
from services.orchestrator.domain.expose import expose
from services.orchestrator.domain.gates import ActionIds, Situation
from services.orchestrator.domain.history import History, InFlight
from services.orchestrator.domain.live_rule import LiveRule
from services.orchestrator.domain.record import decision_record
from services.orchestrator.domain.replay import keep
from services.orchestrator.domain.travel import Travel
from services.orchestrator.domain.trigger_index import RuleSet
from services.orchestrator.domain.update import Moment
from services.orchestrator.domain.window import consider, hold, let_go
from shared.contracts.decision import Decision

REFUSED = "refused"
"""What a run is told of an action that was taken back for another reason than its own."""


def answer(
    situation: Situation,
    candidates: Sequence[LiveRule],
    *,
    ruleset: RuleSet,
    decision_id: UUID,
    effects: Effects,
    action_ids: ActionIds,
    travel: Travel | None = None,
) -> tuple[Decision, list[Considered]] | None:
    """The decision with its candidates; None when nothing was considered and nothing taken back.
    `action_ids` names what was held of earlier touchpoints. What the runs of `travel`, which know
    of the touchpoint, want at once is judged beside the candidates."""
    moment, history = situation.moment, situation.history
    retracts = [] if travel is None else travel.take_retracts()
    exits = {event.criterion for event in ruleset.exits(moment.facts)}
    for criterion in sorted(exits):
        mark_exit(effects, history, moment, criterion)
    retracts += _end_reasons(situation, exits, ruleset, decision_id, effects, travel)
    if history.held:
        retracts += let_go(situation, exits, ruleset, effects, action_ids)
    beside = [] if travel is None else travel.questions()
    asked = bool(candidates or beside)
    considered = consider(candidates, situation, ruleset, beside) if asked else []
    if not considered and not retracts:
        return None
    if considered:
        keep(effects, [Question(candidates, situation), *beside], ruleset, decision_id)
    decision = _do(considered, situation, moment, retracts, ruleset, decision_id, effects)
    hold(considered, ruleset, effects)
    return decision, considered


def _end_reasons(
    situation: Situation,
    exits: Collection[str],
    ruleset: RuleSet,
    decision_id: UUID,
    effects: Effects,
    travel: Travel | None,
) -> list[tuple[UUID, str]]:
    """Take back what lost its reason; a run that waits for it is told so."""
    moment, history = situation.moment, situation.history
    retracts: list[tuple[UUID, str]] = []
    # By id: the order must not depend on which batch an action was planned in.
    for _, action in sorted(history.in_flight.items()):
        reason = ended(action, moment, history, ruleset, exits, situation.at)
        if reason is None:
            continue
        retracts.append((action.action_id, reason))
        retract(
            effects, history, action, decision_id=decision_id, status="retracted", reason=reason
        )
        if travel is not None and action.step is not None:
            travel.heard(action.instead_of or action.action_id, REFUSED)
    return retracts


def answer_runs(
    travel: Travel,
    situation: Situation,
    *,
    ruleset: RuleSet,
    decision_id: UUID,
    effects: Effects,
) -> tuple[Decision, list[Considered]] | None:
    """The decision about what runs want now, and the record of what they took back; None when there
    is neither."""
    questions, retracts = travel.questions(), travel.take_retracts()
    considered = judge(questions, ruleset)
    if not considered and not retracts:
        return None
    if considered:
        keep(effects, questions, ruleset, decision_id, together=True)
    moment = considered[0].situation.moment if considered else situation.moment
    return _do(considered, situation, moment, retracts, ruleset, decision_id, effects), considered


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
    moment = situation.moment
    decision = _do(considered, situation, moment, [], ruleset, decision_id, effects, together=True)
    return decision, considered


def _do(
    considered: Sequence[Considered],
    situation: Situation,
    moment: Moment,
    retracts: Sequence[tuple[UUID, str]],
    ruleset: RuleSet,
    decision_id: UUID,
    effects: Effects,
    *,
    together: bool = False,
) -> Decision:
    """Record a decision, by the touchpoint of the moment, and do what it planned."""
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
        together=together,
    )
    record(effects, decision, decision_id, situation.at)
    expose(effects, considered)
    for one in considered:
        if one.planned:
            _enact(effects, situation.history, one, decision_id)
    return decision


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
