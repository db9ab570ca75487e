"""Conditions as Python functions: compiled once when a rule is published, called for every event.

The functions answer "is it known to be true?"; the negations are already at the leaves (see
`normal.py`), so unknown and false need not be told apart on the way. Nothing is ever built from
text, and a call costs at most one step for each node.
"""

import operator
from collections.abc import Callable
from typing import assert_never

from shared.conditions.facts import Facts, Location, consent_in, follow, locate, reader
from shared.conditions.leaves import leaf_hash
from shared.conditions.normal import normal_form
from shared.conditions.tree import (
    All,
    Any,
    Compare,
    Condition,
    CountOp,
    EventCount,
    HasConsent,
    InSegment,
    IsPersona,
    Leaf,
    Not,
)
from shared.conditions.values import value_test

Holds = Callable[[Facts], bool]

_MISSING = object()
_COUNTED: dict[CountOp, Callable[[int, int], bool]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
}


def compile_condition(condition: Condition) -> Holds:
    """A function from facts to "the condition holds"; unknown counts as false."""
    return compile_normal(normal_form(condition))


def compile_normal(condition: Condition) -> Holds:
    """The same for a condition that is in normal form already."""
    match condition:
        case All(parts):
            return _all([compile_normal(part) for part in parts])
        case Any(parts):
            return _any([compile_normal(part) for part in parts])
        case Not(part):
            if isinstance(part, All | Any | Not):
                raise ValueError("not in normal form: a negation of more than a leaf")
            return _leaf(part, wanted=False)
        case _:
            return _leaf(condition, wanted=True)


def _all(parts: list[Holds]) -> Holds:
    if len(parts) == 2:
        first, second = parts
        return lambda facts: first(facts) and second(facts)

    def holds(facts: Facts) -> bool:
        for part in parts:  # noqa: SIM110 - a generator costs more than the parts
            if not part(facts):
                return False
        return True

    return holds


def _any(parts: list[Holds]) -> Holds:
    if len(parts) == 2:
        first, second = parts
        return lambda facts: first(facts) or second(facts)

    def holds(facts: Facts) -> bool:
        for part in parts:  # noqa: SIM110 - a generator costs more than the parts
            if part(facts):
                return True
        return False

    return holds


def _leaf(leaf: Leaf, *, wanted: bool) -> Holds:
    match leaf:
        case Compare():
            return _compare(leaf, wanted=wanted)
        case EventCount():
            return _event_count(leaf, wanted=wanted)
        case InSegment(segment):
            return lambda facts: (segment in facts.segments) is wanted
        case IsPersona(persona):
            return lambda facts: facts.persona is not None and (facts.persona == persona) is wanted
        case HasConsent(purpose, channel):
            return lambda facts: (consent_in(facts, purpose, channel) == "granted") is wanted
        case _:
            assert_never(leaf)


def _compare(leaf: Compare, *, wanted: bool) -> Holds:
    if leaf.op == "changed_to":
        return _changed_to(leaf, wanted=wanted)
    read = reader(leaf.attr)
    if leaf.op == "exists":
        present = bool(leaf.value) is wanted
        return lambda facts: (read(facts) is not None) is present
    test = value_test(leaf.op, leaf.value, wanted=wanted)
    location = locate(leaf.attr)
    if len(location.path) == 1 and location.root in ("event", "profile"):
        return _test_of_key(location, test)
    return lambda facts: test(read(facts))


def _test_of_key(location: Location, test: Callable[[object], bool]) -> Holds:
    # The two most used places, without the call of a reader in between.
    key = location.path[0]
    if location.root == "event":
        return lambda facts: test(facts.event.get(key))
    return lambda facts: test(facts.profile.get(key))


def _changed_to(leaf: Compare, *, wanted: bool) -> Holds:
    location = locate(leaf.attr)
    prefix = "computed." if location.root == "computed" else ""
    trait, rest = prefix + location.path[0], location.path[1:]
    read = reader(leaf.attr)
    equals = value_test("eq", leaf.value)
    differs = value_test("ne", leaf.value)

    def holds(facts: Facts) -> bool:
        before = facts.changed.get(trait, _MISSING)
        if before is _MISSING:
            return not wanted
        now = read(facts)
        newly = equals(now) and not equals(follow(before, rest))
        return newly if wanted else differs(now) or (equals(now) and not newly)

    return holds


def _event_count(leaf: EventCount, *, wanted: bool) -> Holds:
    name, compare, bound = leaf_hash(leaf), _COUNTED[leaf.count_op], leaf.count

    def holds(facts: Facts) -> bool:
        state = facts.leaves.get(name)
        count = state.get("count") if state is not None else None
        return type(count) is int and compare(count, bound) is wanted

    return holds
