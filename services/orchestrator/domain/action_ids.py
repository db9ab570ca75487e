"""The ids of what is done: made from what asks for it, so that they are the same for ever."""

from collections.abc import Callable
from uuid import UUID

from services.orchestrator.domain.history import InFlight
from services.orchestrator.domain.run import effect_id
from shared import ids

OptionIds = Callable[[str, int, int], UUID]
"""From the key of a rule, the index of its action, and 0 for the action itself or n for its n-th
fallback, to the id of what is done."""


def fallback_id(action: UUID, place: int) -> UUID:
    """The id of the fallback at a place in the list of an action."""
    return ids.action_id(str(action), "fallback", str(place))


def step_action_ids(first: UUID) -> OptionIds:
    """What names the options of the one action of a step; `first` is the action's own id."""

    def action_id(_rule: str, _index: int, option: int = 0) -> UUID:
        return fallback_id(first, option - 1) if option else first

    return action_id


def ids_of_action(
    action: InFlight, action_ids: Callable[[str], OptionIds], touchpoint: str
) -> OptionIds:
    """What names the options of an action in flight: its touchpoint, or the step of its run."""
    if action.step is None:
        return action_ids(touchpoint)
    node = action.rule.partition("/")[2]
    return step_action_ids(effect_id(action.step.run, node, action.step.occurrence))
