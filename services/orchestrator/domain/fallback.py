"""What is done instead when an action came to nothing on its channel: its next option.

The gates are those of a decision, asked of the person as known now; the contact is a new one.
"""

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

from services.orchestrator.domain.asking import choice_for
from services.orchestrator.domain.capacity import lacking, uses_of
from services.orchestrator.domain.contact_gates import (
    assigned,
    exposures,
    held_out,
    other_arm,
)
from services.orchestrator.domain.decide import Considered, plan_option
from services.orchestrator.domain.gates import Drop, Situation, engagement
from services.orchestrator.domain.live_rule import LiveRule
from services.orchestrator.domain.options import NOT_ASKED, Choice, furthest
from services.orchestrator.domain.planned import Planned
from services.orchestrator.domain.rule import ActionSpec
from services.orchestrator.domain.trigger_index import RuleSet

NOTHING = timedelta(0)


def place_of(live: LiveRule, action_id: UUID, situation: Situation) -> tuple[int, int] | None:
    """The index of an action, and 0 or the number of its fallback, by its id; None when the rule
    has none of this id any more. `situation` is that of the touchpoint that asked for it."""
    for index, spec in enumerate(live.rule.actions):
        for option in range(1 + len(spec.fallback)):
            if situation.action_id(live.key, index, option) == action_id:
                return index, option
    return None


def consider_next(
    live: LiveRule,
    index: int,
    place: int,
    reason: str,
    situation: Situation,
    ruleset: RuleSet,
) -> tuple[Considered, Planned | Drop]:
    """The next option of the action with an index that may be done now, or why there is none; with
    the candidate as the record of a decision shows it.

    `place` is the option that came to nothing (0 is the action itself, n its n-th fallback), for a
    `reason` that a fallback's `on` may name. Scarce resources have to be in the history, and in
    `acted` the options that were tried before.
    """
    choice = choice_for(index, _now(live.rule.actions[index]), situation, ruleset)
    one = Considered(live, situation, choices=[choice])
    if not live.rule.is_valid_at(situation.at):
        valid = "the rule is in force"
        one.drop = Drop("applicability", "not_valid", valid, True, False)
    one.drop = one.drop or engagement(live, situation.moment, situation.history)
    one.exposures = exposures(ruleset, live.rule, situation.moment.profile_id)
    one.drop = one.drop or held_out(one.exposures)
    if one.drop is None:
        one.assigned = assigned(ruleset, live.rule, situation.moment)
        one.drop = other_arm(live.rule, one.assigned)
    if one.drop is not None:
        return one, one.drop
    tried = frozenset(
        option
        for option in range(len(choice.specs))
        if option == place
        or situation.action_id(live.key, index, option) in situation.history.acted
    )
    if not plan_option(one, ruleset, tried, reason):
        one.drop = furthest([choice]) if _was_asked(choice) else _none_left(reason)
        return one, one.drop
    (planned,) = one.planned
    costs, used = live.rule.costs, situation.history.used
    one.drop = lacking(ruleset.resources, costs, used, planned.due_at)
    if one.drop is not None:
        one.planned = []
        return one, one.drop
    planned = replace(planned, uses=uses_of(ruleset.resources, costs, planned.due_at))
    one.planned = [planned]
    return one, planned


def _now(spec: ActionSpec) -> ActionSpec:
    """The action without its delay, which was waited for already."""
    at_once = tuple(replace(one, spec=replace(one.spec, delay=NOTHING)) for one in spec.fallback)
    return replace(spec, delay=NOTHING, fallback=at_once)


def _was_asked(choice: Choice) -> bool:
    return any(drop.reason != NOT_ASKED for drop in choice.dropped.values())


def _none_left(reason: str) -> Drop:
    return Drop("channel", "no_fallback", f"a fallback for {reason}", reason, None)
