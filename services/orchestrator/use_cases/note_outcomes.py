"""Takes in the delivery events of a batch: what became of which action, and what follows."""

from collections.abc import Iterable
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from services.orchestrator.domain.action_ids import ids_of_action
from services.orchestrator.domain.effects import ActionRow, Effects
from services.orchestrator.domain.exit import for_action
from services.orchestrator.domain.follow_up import fall_back
from services.orchestrator.domain.gates import Situation
from services.orchestrator.domain.history import InFlight
from services.orchestrator.domain.note_outcome import Heard, Told, note_outcome
from services.orchestrator.domain.trigger_index import RuleSet
from services.orchestrator.domain.update import Moment
from services.orchestrator.storage import outcomes
from services.orchestrator.storage.histories import Histories
from services.orchestrator.use_cases.naming import action_ids, fallback_decision_id
from services.orchestrator.use_cases.recall import Asked
from services.orchestrator.use_cases.report import Counting
from shared.contracts.delivery import outcome_of

MAX_REASON = 200


class Outcomes:
    """The actions that the events of one batch name, as they change while it is answered."""

    def __init__(
        self, told: dict[UUID, Told], ruleset: RuleSet, effects: Effects, report: Counting
    ) -> None:
        self._told = told
        self._ruleset = ruleset
        self._effects = effects
        self._report = report

    def note(self, moment: Moment, situation: Situation) -> tuple[UUID, str] | None:
        """Note what the touchpoint says of an action of this very person, if it says anything; the
        action that a rule or a node named first, and what was said of it."""
        heard = heard_in(moment, situation)
        if heard is None:
            return None
        told = self._of(heard.action_id)
        result = _refused(told, heard, moment)
        self._report.heard(heard.outcome, result or "noted")
        if told is None or result is not None:
            return None
        live = self._ruleset.acting.get(told.contact.rule)
        kept = live is not None and (live.keeps_watch or live.has_fallbacks)
        action = situation.history.in_flight.get(heard.action_id)
        reasons = note_outcome(self._effects, situation.history, told, heard, kept=kept)
        if action is None:
            return heard.action_id, heard.outcome
        if reasons and self._fall_back(action, reasons, situation):
            return None  # something else is done instead
        return action.instead_of or action.action_id, heard.outcome

    def followed(self, asked: Iterable[Asked]) -> list[Asked]:
        """What else has to be known: of rules whose fallbacks the events may bring about."""
        found = []
        for one in asked:
            said = outcome_of(one.moment.cause.type, one.moment.cause.properties)
            told = None if said is None else self._told.get(said[0])
            live = None if told is None else self._ruleset.acting.get(told.contact.rule)
            if live is not None and live.has_fallbacks:
                found.append(Asked(one.moment, [live], one.action_id))
        return found

    def followed_actions(self, histories: Histories) -> list[InFlight]:
        """The actions in flight that the events speak of."""
        return [
            history.in_flight[action_id]
            for action_id in self._told
            for history in histories.values()
            if action_id in history.in_flight
        ]

    def _fall_back(self, action: InFlight, reasons: frozenset[str], situation: Situation) -> bool:
        moment = for_action(action, situation.moment, situation.at)
        asking = ids_of_action(action, action_ids, moment.cause.id or "")
        decision = fall_back(
            self._effects,
            action,
            reasons,
            Situation(moment, situation.history, situation.at, asking, action.step),
            ruleset=self._ruleset,
            decision_id=fallback_decision_id(action.action_id, reasons),
        )
        if decision is not None:
            self._report.decided(None, decision.outcome)
        return decision is not None and bool(decision.action_ids)

    def _of(self, action_id: UUID) -> Told | None:
        """The action as it stands now: the batch may have made it, or taken it back."""
        effects, told = self._effects, self._told.get(action_id)
        if told is None:
            made = [row for row in effects.actions if row.planned.action_id == action_id]
            if not made:
                return None
            told = self._told[action_id] = told_of(made[0])
        change = effects.changes.get(action_id)
        if change is not None:
            told.status = change.status
        if action_id in effects.taken_back:
            told.released = action_id in effects.released
        return told


async def outcomes_of(
    tx: AsyncConnection,
    moments: Iterable[Moment],
    *,
    ruleset: RuleSet,
    effects: Effects,
    report: Counting,
) -> Outcomes:
    """Read the actions that these touchpoints name; nothing when none does."""
    named = {
        moment.cause.id: said[0]
        for moment in moments
        if moment.cause.id is not None
        and (said := outcome_of(moment.cause.type, moment.cause.properties)) is not None
    }
    told = {}
    if named:
        told = await outcomes.read_told(tx, set(named.values()), set(named))
    return Outcomes(told, ruleset, effects, report)


def heard_in(moment: Moment, situation: Situation) -> Heard | None:
    """What the cause of an update says of an action."""
    cause = moment.cause
    said = outcome_of(cause.type, cause.properties)
    if said is None or cause.id is None:
        return None
    reason = cause.properties.get("reason")
    return Heard(
        touchpoint_id=cause.id,
        action_id=said[0],
        outcome=said[1],
        at=moment.occurred or situation.at,
        reason=reason[:MAX_REASON] if isinstance(reason, str) else None,
    )


def _refused(told: Told | None, heard: Heard, moment: Moment) -> str | None:
    """Why a delivery event changes nothing."""
    if told is None:
        return "unknown_action"
    if told.profile_id != moment.profile_id:
        return "other_person"
    if told.status == "pending":
        return "not_published"
    return "repeated" if heard.touchpoint_id in told.known else None


def told_of(row: ActionRow) -> Told:
    """An action that was just made: nothing is said of it yet."""
    return Told(
        profile_id=row.profile_id,
        contact=row.planned.contact,
        kind=row.planned.spec.kind,
        status=row.status,
        published_at=row.created_at if row.status == "published" else None,
        released=False,
        said={},
        known=set(),
    )
