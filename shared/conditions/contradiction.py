"""Finds conditions that hold for nobody: two parts that must both hold and cannot.

It says so only where it is certain; that it finds nothing means nothing. A comparison decides by
the type of its operand how a fact is read, so only comparisons of one type can contradict each
other.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any as Value

from shared.conditions.leaves import leaf_hash
from shared.conditions.normal import normal_form
from shared.conditions.sentence import sentence
from shared.conditions.tree import (
    All,
    Any,
    Compare,
    Condition,
    EventCount,
    IsPersona,
    Leaf,
    Not,
)
from shared.conditions.values import Kind, kind_of, read_operand, value_test

_CHOICES = frozenset({"eq", "in"})
_LOWER, _UPPER = frozenset({"gt", "gte"}), frozenset({"lt", "lte"})
_OTHERWISE = frozenset({"exists", "changed_to"})
_OF_TEXT = frozenset({"contains", "starts_with"})
Literal = Leaf | Not


def contradiction(condition: Condition) -> str | None:
    """Why the condition can never hold, in words; None when nothing is known against it."""
    return _found([normal_form(condition)], [])


def _found(parts: Sequence[Condition], leaves: list[Literal]) -> str | None:
    """Of parts that must all hold, beside leaves that do."""
    leaves = list(leaves)
    choices: list[Any] = []
    waiting = list(parts)
    while waiting:
        match waiting.pop(0):
            case All(more):
                waiting = [*more, *waiting]
            case Any() as choice:
                choices.append(choice)
            case leaf:
                leaves.append(leaf)
    reason = _among(leaves)
    for choice in choices:
        if reason is not None:
            break
        reasons = [_found([part], leaves) for part in choice.parts]
        known = [one for one in reasons if one is not None]
        if len(known) == len(reasons):
            reason = known[0]
    return reason


def _among(leaves: Iterable[Literal]) -> str | None:
    compared: defaultdict[str, list[Compare]] = defaultdict(list)
    counted: defaultdict[str, list[EventCount]] = defaultdict(list)
    said: list[Literal] = []
    for leaf in leaves:
        if isinstance(leaf, Compare):
            compared[leaf.attr].append(leaf)
        elif isinstance(leaf, EventCount):
            counted[leaf_hash(leaf)].append(leaf)
        else:
            said.append(leaf)
    return (
        next((why for some in compared.values() if (why := _of_attribute(some))), None)
        or next((why for some in counted.values() if (why := _of_count(some))), None)
        or _of_membership(said)
    )


def _of_attribute(leaves: list[Compare]) -> str | None:
    if len(leaves) < 2:
        return None
    missing = [leaf for leaf in leaves if leaf.op == "exists" and leaf.value is False]
    asking = [leaf for leaf in leaves if leaf not in missing]
    if missing and asking:
        return _both(missing[0], asking[0])
    by_kind: defaultdict[Kind, list[Compare]] = defaultdict(list)
    for leaf in leaves:
        kind = kind_of(leaf.value)
        # Parts of a text are of no use where it is read as something else, spelt many ways.
        if leaf.op not in _OTHERWISE and (kind == "text" or leaf.op not in _OF_TEXT):
            by_kind[kind].append(leaf)
    for kind, some in by_kind.items():
        reason = _of_choices(some) or _of_bounds(some, kind)
        if reason is not None:
            return reason
    return None


def _of_choices(leaves: list[Compare]) -> str | None:
    """A value that is one of a few has to pass all other comparisons as well."""
    for leaf in leaves:
        if leaf.op not in _CHOICES:
            continue
        values = leaf.value if isinstance(leaf.value, tuple) else (leaf.value,)
        for other in leaves:
            if other is leaf:
                continue
            passes = value_test(other.op, other.value)
            values = tuple(value for value in values if passes(value))
            if not values:
                return _both(leaf, other)
    return None


def _of_bounds(leaves: list[Compare], kind: Kind) -> str | None:
    lows: list[tuple[Value, bool, Compare]] = []
    highs: list[tuple[Value, bool, Compare]] = []
    for leaf in leaves:
        if leaf.op == "between" and isinstance(leaf.value, tuple):
            low, high = (read_operand(end, kind) for end in leaf.value)
            lows.append((low, False, leaf))
            highs.append((high, False, leaf))
        elif not isinstance(leaf.value, tuple):
            bound: Value = read_operand(leaf.value, kind)
            if leaf.op in _LOWER:
                lows.append((bound, leaf.op == "gt", leaf))
            elif leaf.op in _UPPER:
                highs.append((bound, leaf.op == "lt", leaf))
    for low, above, lower in lows:
        for high, below, upper in highs:
            if _is_less(high, low) or (high == low and (above or below)):
                return _both(lower, upper)
    return None


def _is_less(one: int | float | str | datetime, other: Value) -> bool:
    less: bool = one < other
    return less


def _of_count(leaves: list[EventCount]) -> str | None:
    low, high = 0, 2**62
    for leaf in leaves:
        match leaf.count_op:
            case "gte" | "eq":
                low = max(low, leaf.count)
            case "gt":
                low = max(low, leaf.count + 1)
            case _:
                pass
        match leaf.count_op:
            case "lte" | "eq":
                high = min(high, leaf.count)
            case "lt":
                high = min(high, leaf.count - 1)
            case _:
                pass
    return None if low <= high else _both(leaves[0], leaves[-1])


def _of_membership(leaves: list[Literal]) -> str | None:
    for leaf in leaves:
        if not isinstance(leaf, Not) and Not(leaf) in leaves:
            return _both(leaf, Not(leaf))
    personas = [leaf for leaf in leaves if isinstance(leaf, IsPersona)]
    other = next((one for one in personas if one != personas[0]), None)
    return None if other is None else _both(personas[0], other)


def _both(one: Condition, other: Condition) -> str:
    return f"never both {sentence(one)} and {sentence(other)}"
