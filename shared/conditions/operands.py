"""Checks of the attribute, the operator and the operand of one comparison.

Each check notes its mistakes and goes on, so that an author sees all of them at once.
"""

import math
from typing import cast

from shared.conditions.facts import locate
from shared.conditions.mistakes import Mistakes, did_you_mean, shown
from shared.conditions.tree import OPS, Op, Operand, Scalar
from shared.conditions.values import kind_of, read_operand

MAX_ATTRIBUTE = 200
MAX_TEXT = 1_000
MAX_LIST = 1_000
MAX_INTEGER = 2**63 - 1

_ORDERED = ("gt", "gte", "lt", "lte")
_ROOTS = ("profile", "event", "context", "household", "account")
_ENVELOPE = ("event.type", "event.channel", "event.source")
_SYMBOLS = {
    "=": "eq",
    "==": "eq",
    "!=": "ne",
    "<>": "ne",
    ">": "gt",
    ">=": "gte",
    "<": "lt",
    "<=": "lte",
    "not_in": "nin",
    "is": "eq",
}
# Names that look like attributes and are not: what to write instead.
_ELSEWHERE = {
    "profile.traits": "Traits follow directly: profile.<trait>.",
    "profile.segments": 'Write {"segment": "<key>"}.',
    "profile.persona": 'Write {"persona": "<key>"}.',
    "profile.consents": 'Write {"consent": {"purpose": …, "channel": …}}.',
    "profile.lists": 'Write {"segment": "<key>"}: a static list is a segment.',
    "event.properties": "Properties follow directly: event.<property>.",
}


def read_string(mistakes: Mistakes, path: str, value: object, limit: int) -> str | None:
    """The value as a string that can be stored, not empty and within the limit."""
    if not isinstance(value, str):
        mistakes.add(path, "type", f"must be a string, not {shown(value)}")
    elif not value:
        mistakes.add(path, "min_length", "must not be empty")
    elif _is_storable(mistakes, path, value, limit):
        return value
    return None


def _is_storable(mistakes: Mistakes, path: str, value: str, limit: int) -> bool:
    if len(value) > limit:
        mistakes.add(
            path, "max_length", f"is {len(value)} characters long, at most {limit} allowed"
        )
        return False
    if "\x00" in value or any("\ud800" <= letter <= "\udfff" for letter in value):
        mistakes.add(path, "text", "must not hold the character U+0000 or half a surrogate pair")
        return False
    return True


def read_attribute(mistakes: Mistakes, path: str, value: object) -> str | None:
    """The value as the name of an attribute that exists in principle."""
    attr = read_string(mistakes, path, value, MAX_ATTRIBUTE)
    if attr is None:
        return None
    try:
        locate(attr)
    except ValueError as error:
        root, _, rest = attr.partition(".")
        hint = did_you_mean(root, _ROOTS)
        if rest and hint and root not in _ROOTS:
            hint = hint.replace('"?', f'.{shown(rest)[1:-1]}"?')
        mistakes.add(path, "unknown_attribute", f"{error}; got {shown(attr)}.{hint}")
        return None
    instead = _ELSEWHERE.get(".".join(attr.split(".")[:2]))
    if instead is not None:
        mistakes.add(path, "unknown_attribute", f"{shown(attr)} is no attribute. {instead}")
        return None
    return attr


def read_op(mistakes: Mistakes, path: str, value: object) -> Op | None:
    """The value as one of the operators."""
    if isinstance(value, str) and value in OPS:
        return value
    if not isinstance(value, str):
        mistakes.add(path, "type", f"must be a string, not {shown(value)}")
        return None
    symbol = _SYMBOLS.get(value)
    hint = f' Did you mean "{symbol}"?' if symbol else did_you_mean(value, OPS)
    mistakes.add(path, "unknown_op", f"{shown(value)} is none of {', '.join(OPS)}.{hint}")
    return None


def read_value(
    mistakes: Mistakes, path: str, op: Op, attr: str | None, value: object
) -> Operand | None:
    """The operand, checked against what the operator takes and what the attribute can hold."""
    if op in ("in", "nin", "between"):
        operand: Operand | None = _read_list(mistakes, path, op, value)
    elif op == "exists":
        operand = value if isinstance(value, bool) else None
        if operand is None:
            mistakes.add(path, "value_type", f'"exists" takes true or false, not {shown(value)}')
    else:
        operand = _read_single(mistakes, path, op, value)
    if operand is None or attr is None:
        return operand
    if op == "changed_to" and locate(attr).root not in ("profile", "computed"):
        mistakes.add(path, "value_type", f'"changed_to" needs a profile attribute, not {attr}')
        return None
    if op != "exists" and attr in _ENVELOPE and kind_of(operand) not in ("text", "time"):
        mistakes.add(path, "value_type", f"{attr} is always a string")
        return None
    return operand


def _read_single(mistakes: Mistakes, path: str, op: Op, value: object) -> Scalar | None:
    scalar = _read_scalar(mistakes, path, value)
    if scalar is None:
        return None
    if op in _ORDERED and isinstance(scalar, bool):
        mistakes.add(path, "value_type", f'"{op}" takes a number, a string or a time')
        return None
    if op == "starts_with" and not isinstance(scalar, str):
        mistakes.add(path, "value_type", '"starts_with" takes a string')
        return None
    if op in ("starts_with", "contains") and scalar == "":
        mistakes.add(path, "min_length", "an empty string is part of every string")
        return None
    return scalar


def _read_scalar(mistakes: Mistakes, path: str, value: object) -> Scalar | None:
    if isinstance(value, str):
        return value if _is_storable(mistakes, path, value, MAX_TEXT) else None
    if isinstance(value, bool):
        return value
    if isinstance(value, int) and abs(value) > MAX_INTEGER:
        mistakes.add(path, "number_range", "whole numbers go up to 2**63 - 1")
        return None
    if isinstance(value, float) and not math.isfinite(value):
        mistakes.add(path, "number_range", "must be a finite number")
        return None
    if isinstance(value, int | float):
        return value
    advice = ' Ask for a missing value with "exists".' if value is None else ""
    mistakes.add(
        path, "value_type", f"must be a string, a number or a boolean, not {shown(value)}.{advice}"
    )
    return None


def _read_list(mistakes: Mistakes, path: str, op: Op, value: object) -> tuple[Scalar, ...] | None:
    if not isinstance(value, list):
        mistakes.add(path, "value_type", f'"{op}" takes a list, not {shown(value)}')
        return None
    if op == "between" and len(value) != 2:
        mistakes.add(path, "value_type", f'"between" takes [low, high], not {len(value)} elements')
        return None
    if not value:
        mistakes.add(path, "min_items", "must not be empty")
        return None
    if len(value) > MAX_LIST:
        mistakes.add(path, "max_items", f"has {len(value)} elements, at most {MAX_LIST} allowed")
        return None
    elements = [
        _read_scalar(mistakes, f"{path}[{place}]", element) for place, element in enumerate(value)
    ]
    known = tuple(element for element in elements if element is not None)
    if len(known) < len(elements):
        return None
    if len({_type_name(element) for element in known}) > 1:
        mistakes.add(path, "same_type", "all elements must be of one type")
        return None
    return _check_interval(mistakes, path, known) if op == "between" else known


def _type_name(element: Scalar) -> str:
    kind = kind_of(element)
    return "string" if kind in ("text", "time") else kind


def _check_interval(
    mistakes: Mistakes, path: str, bounds: tuple[Scalar, ...]
) -> tuple[Scalar, ...] | None:
    kinds = [kind_of(bound) for bound in bounds]
    if kinds[0] != kinds[1]:
        mistakes.add(path, "same_type", "one end is a time and the other is not")
        return None
    if kinds[0] == "boolean":
        mistakes.add(path, "value_type", '"between" takes numbers, strings or times')
        return None
    low, high = (cast("int | float", read_operand(bound, kinds[0])) for bound in bounds)
    if low > high:
        mistakes.add(path, "order", "the first end must not lie above the second")
        return None
    return bounds
