"""Which past touchpoints a rule counts: its event leaves, which the profile service counts."""

from collections.abc import Iterable, Iterator

from services.orchestrator.domain.rule import Rule
from shared.conditions.leaves import is_of_one_event, leaf_hash, references
from shared.conditions.tree import Condition, EventCount


def leaves_of_rule(rule: Rule) -> dict[str, EventCount]:
    """The event leaves by hash, each with the largest count that is asked for."""
    return leaves_in(_conditions(rule))


def leaves_in(conditions: Iterable[Condition]) -> dict[str, EventCount]:
    """The event leaves of several conditions, in the same way."""
    found: dict[str, EventCount] = {}
    for condition in conditions:
        for leaf in references(condition).event_leaves:
            name = leaf_hash(leaf)
            if name not in found or found[name].count < leaf.count:
                found[name] = leaf
    return found


def _conditions(rule: Rule) -> Iterator[Condition]:
    policy = rule.engagement_policy
    for one in (
        rule.trigger.where,
        policy.eligibility,
        policy.applicability,
        policy.suitability,
        *(when for when, _ in rule.worth.context),
    ):
        if one is not None:
            yield one
    for criterion in rule.exit_criteria or ():
        if not (isinstance(criterion, EventCount) and is_of_one_event(criterion)):
            yield criterion
