"""How a fact is read as a type, and how it is compared. The meaning is written in `tree.py`.

Everything here works on one value; where the value comes from is the business of `facts.py`.
"""

import operator
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any, Literal

from shared.conditions.tree import Op, Operand, Scalar

Kind = Literal["number", "time", "text", "boolean"]
Reader = Callable[[object], object | None]
Test = Callable[[object], bool]

MAX_DECIMAL = 40

_INFINITY = float("inf")
_DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?")
_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,12})?"
    r"(?:[Zz]|[+-][0-9]{2}:[0-9]{2})"
)


def read_number(value: object) -> int | float | None:
    """The value as a number: a number, or a string that spells a decimal."""
    if type(value) is int:
        return value
    if type(value) is float:
        return value if -_INFINITY < value < _INFINITY else None
    if type(value) is str and len(value) <= MAX_DECIMAL:
        found = _DECIMAL.fullmatch(value)
        if found is not None:
            return int(value) if found[1] is None else float(value)
    return None


def read_time(value: object) -> datetime | None:
    """The value as an instant: an RFC 3339 date-time with an offset."""
    if type(value) is not str or not 20 <= len(value) <= 40 or value[4] != "-":
        return None
    if _TIME.fullmatch(value) is None:
        return None
    try:
        return datetime.fromisoformat(value.upper())
    except ValueError:  # the shape of a date-time, but no such day, hour or offset
        return None


def read_text(value: object) -> str | None:
    """The value when it is a string."""
    return value if type(value) is str else None


def read_boolean(value: object) -> bool | None:
    """The value when it is a boolean."""
    return value if type(value) is bool else None


READERS: dict[Kind, Reader] = {
    "number": read_number,
    "time": read_time,
    "text": read_text,
    "boolean": read_boolean,
}


def kind_of(operand: Operand) -> Kind:
    """The type that the operand asks of a fact. A list must not be empty and be of one type."""
    if isinstance(operand, tuple):
        kinds = {kind_of(element) for element in operand}
        return "text" if kinds == {"text", "time"} else kinds.pop()
    if isinstance(operand, bool):
        return "boolean"
    if isinstance(operand, int | float):
        return "number"
    return "text" if read_time(operand) is None else "time"


def read_operand(operand: Scalar, kind: Kind) -> object:
    """The operand as the value that facts of the kind are compared with (times as instants)."""
    return operand if kind != "time" else read_time(operand)


# Both sides are of one kind when one of these is called; the types cannot say so.
_ORDERED: dict[str, Callable[[Any, Any], bool]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
}


def value_test(op: Op, operand: Operand, *, wanted: bool = True) -> Test:
    """A function that says whether a value is known to satisfy the comparison.

    With `wanted=False`, whether it is known *not* to satisfy it; only `between`, `contains` and
    `starts_with` need that, the others have an opposite. Both are false for an unknown one.
    `exists` and `changed_to` are about more than one value and are not made here.
    """
    if isinstance(operand, tuple):
        if op == "between":
            return _between(operand, wanted=wanted)
        return _one_of(operand, wanted=op == "in")
    if op == "contains":
        return _contains(operand, wanted=wanted)
    if op == "starts_with":
        return _starts_with(str(operand), wanted=wanted)
    return _compared(op, operand)


def _compared(op: Op, operand: Scalar) -> Test:
    kind = kind_of(operand)
    bound = read_operand(operand, kind)
    read, holds = READERS[kind], _ORDERED[op]
    if kind == "number":
        return _compared_number(holds, bound)

    def test(value: object) -> bool:
        known = read(value)
        return known is not None and holds(known, bound)

    return test


def _compared_number(holds: Callable[[Any, Any], bool], bound: object) -> Test:
    # The commonest test of all: a number that already is one must not pay for a reader.
    def test(value: object) -> bool:
        if type(value) is int:
            return holds(value, bound)
        known = read_number(value)
        return known is not None and holds(known, bound)

    return test


def _between(operand: tuple[Scalar, ...], *, wanted: bool) -> Test:
    kind = kind_of(operand)
    read = READERS[kind]
    low, high = (read_operand(bound, kind) for bound in operand)

    def test(value: object) -> bool:
        known = read(value)
        if known is None:
            return False
        return (low <= known <= high) is wanted  # type: ignore[operator]  # all of one kind

    return test


def _one_of(operand: tuple[Scalar, ...], *, wanted: bool) -> Test:
    kind = kind_of(operand)
    read = READERS[kind]
    members = frozenset(read_operand(element, kind) for element in operand)

    def test(value: object) -> bool:
        known = read(value)
        return known is not None and (known in members) is wanted

    return test


def _contains(operand: Scalar, *, wanted: bool) -> Test:
    is_element = _compared("eq", operand)

    def test(value: object) -> bool:
        if type(value) is list:
            return any(is_element(element) for element in value) is wanted
        if type(value) is str and type(operand) is str:
            return (operand in value) is wanted
        return False

    return test


def _starts_with(prefix: str, *, wanted: bool) -> Test:
    def test(value: object) -> bool:
        return type(value) is str and value.startswith(prefix) is wanted

    return test
