"""Which actions simple rules must have caused: an event trigger, a comparison, perhaps a cap."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid5

from tests.oracle.identity import Identities
from tests.oracle.records import Event

ACTION_NAMESPACE = UUID("b1d8a7f2-3c94-5e0b-8a67-94e2d35cf018")
"""Part of the contract: an action's id is UUIDv5 of rule key, touchpoint id and action index."""

COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "gte": lambda value, bound: value >= bound,
    "lt": lambda value, bound: value < bound,
    "eq": lambda value, bound: value == bound,
}


@dataclass(frozen=True, slots=True)
class SimpleRule:
    """A published rule with one action: `property op bound` on the event, `cap` per person."""

    key: str
    event_type: str
    property: str
    op: str
    bound: Any
    cap: int | None = None
    max_age: timedelta = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class CapBounds:
    """What a capped rule may have sent one person: only of `allowed`, and how many."""

    allowed: frozenset[str]
    least: int
    most: int


def action_id(rule: str, touchpoint_id: str, index: int = 0) -> str:
    """The id of what a rule does because of a touchpoint."""
    return str(uuid5(ACTION_NAMESPACE, f"{rule}\x00{touchpoint_id}\x00{index}"))


def matches(rule: SimpleRule, event: Event) -> bool:
    """Whether the event triggers the rule and passes its comparison; a missing value does not."""
    if event.type != rule.event_type or event.historical:
        return False
    if event.received_at - event.occurred_at > rule.max_age:
        return False
    value = event.properties.get(rule.property)
    return value is not None and COMPARISONS[rule.op](value, rule.bound)


def expected_actions(rules: Iterable[SimpleRule], identities: Identities) -> set[str]:
    """The ids of every action of the rules without a cap."""
    return {
        action_id(rule.key, event.id)
        for rule in rules
        if rule.cap is None
        for person in identities.persons
        for event in person.events
        if matches(rule, event)
    }


def cap_bounds(rule: SimpleRule, identities: Identities) -> list[CapBounds]:
    """For each person what a capped rule may have sent.

    A person who was several profiles may have got the cap once on each before they were merged:
    which order the profiles saw their events in is not defined between partitions.
    """
    if rule.cap is None:
        raise ValueError(f"rule {rule.key} has no cap")
    bounds = []
    for person in identities.persons:
        matching = [event for event in person.events if matches(rule, event)]
        allowed = frozenset(action_id(rule.key, event.id) for event in matching)
        least = min(rule.cap, len(matching))
        most = min(rule.cap * (1 + len(person.identifiers)), len(matching))
        bounds.append(CapBounds(allowed, least, most if len(person.identifiers) > 1 else least))
    return bounds
