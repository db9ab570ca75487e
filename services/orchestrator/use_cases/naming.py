"""The ids of decisions and actions: made from what caused them, so that a replay makes the same."""

from collections.abc import Callable, Iterable
from datetime import datetime
from uuid import UUID

from services.orchestrator.domain.action_ids import fallback_id
from services.orchestrator.domain.update import Moment
from shared import ids

DECISION_NAMESPACE = UUID("3d5f0f5e-2c56-5d0a-9b7c-6a4d9f1e8c27")
"""Must never change: it keeps the id of a decision the same when its batch is tried again."""


def decision_id(moment: Moment) -> UUID:
    """The id of the decision that an update causes."""
    cause = moment.cause.id or moment.cause.kind
    return ids.derived_id(DECISION_NAMESPACE, moment.of, str(moment.seq), cause)


def timer_decision_id(action_id: UUID, gen: int) -> UUID:
    """The id of the decision that a due timer of an action causes."""
    return ids.derived_id(DECISION_NAMESPACE, str(action_id), str(gen))


def round_decision_id(first: UUID, name: str) -> UUID:
    """The id of a further decision that follows from the first: what runs want after an answer."""
    return ids.derived_id(DECISION_NAMESPACE, str(first), "round", name)


def turn_decision_id(run: UUID, at: datetime) -> UUID:
    """The id of the decision that a run's place in a line causes, in a round at an instant."""
    return ids.derived_id(DECISION_NAMESPACE, str(run), "turn", at.isoformat())


def operator_decision_id(run: UUID, gen: int, occurrence: int, action: str) -> UUID:
    """The id of the decision that follows from what an operator does to a run as it stands."""
    return ids.derived_id(DECISION_NAMESPACE, str(run), action, str(occurrence), str(gen))


def sweep_decision_id(sweep: int, run: UUID) -> UUID:
    """The id of the decision that follows from what all runs of a journey are told."""
    return ids.derived_id(DECISION_NAMESPACE, str(run), "sweep", str(sweep))


def window_decision_id(ref: UUID, timer: int) -> UUID:
    """The id of the decision that the end of an arbitration window causes."""
    return ids.derived_id(DECISION_NAMESPACE, str(ref), "arbitrate", str(timer))


def fallback_decision_id(action_id: UUID, reasons: Iterable[str]) -> UUID:
    """The id of the decision about what is done instead of an action."""
    return ids.derived_id(DECISION_NAMESPACE, str(action_id), *sorted(reasons))


def erasure_id(action_id: UUID) -> UUID:
    """What the retraction of an erased person's action names as its decision: there is no record
    of it."""
    return ids.derived_id(DECISION_NAMESPACE, str(action_id), "erased")


def action_ids(touchpoint_id: str) -> Callable[[str, int, int], UUID]:
    """From the key of a rule, the index of its action, and 0 for the action itself or n for its
    n-th fallback, to the id of what is done."""
    made: dict[tuple[str, int, int], UUID] = {}

    def action_id(rule: str, index: int, option: int = 0) -> UUID:
        known = made.get((rule, index, option))
        if known is None:
            if option:
                known = fallback_id(action_id(rule, index), option - 1)
            else:
                known = ids.action_id(rule, touchpoint_id, str(index))
            made[(rule, index, option)] = known
        return known

    return action_id
