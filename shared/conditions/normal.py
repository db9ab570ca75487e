"""Negations pushed down to the leaves, so that every back end needs two truth values, not three.

A condition counts only when it is known to be true. "all" and "any" of known truths need nothing
more, and a negation asks whether its part is known to be false, which for a leaf is the opposite
comparison of the same fact (`not gte` is `lt`: both are unknown for the same facts). Leaves without
an opposite stay inside a `Not`, which in a normal form never holds anything but a leaf.
"""

from typing import assert_never

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
    Op,
)

_OPPOSITE: dict[Op, Op] = {
    "eq": "ne",
    "ne": "eq",
    "gt": "lte",
    "gte": "lt",
    "lt": "gte",
    "lte": "gt",
    "in": "nin",
    "nin": "in",
}
_OPPOSITE_COUNT: dict[CountOp, CountOp] = {
    "eq": "ne",
    "ne": "eq",
    "gt": "lte",
    "gte": "lt",
    "lt": "gte",
    "lte": "gt",
}


def normal_form(condition: Condition, *, negated: bool = False) -> Condition:
    """An equal condition (of the negation, with `negated`) whose `Not` nodes hold only leaves."""
    match condition:
        case Not(part):
            return normal_form(part, negated=not negated)
        case All(parts) | Any(parts):
            conjunction = isinstance(condition, All) is not negated
            new_parts = tuple(normal_form(part, negated=negated) for part in parts)
            return All(new_parts) if conjunction else Any(new_parts)
        case Compare() | EventCount() | InSegment() | IsPersona() | HasConsent():
            return _opposite(condition) if negated else condition
        case _:
            assert_never(condition)


def _opposite(leaf: Leaf) -> Condition:
    match leaf:
        case Compare(attr, "exists", value):
            return Compare(attr, "exists", not value)
        case Compare(attr, op, value) if op in _OPPOSITE:
            return Compare(attr, _OPPOSITE[op], value)
        case EventCount(event, where, count_op, count, within):
            return EventCount(event, where, _OPPOSITE_COUNT[count_op], count, within)
        case _:
            return Not(leaf)
