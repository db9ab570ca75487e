"""What a comparison asks of a trait whose type is known, and what that type can never answer."""

from collections.abc import Mapping
from typing import Literal

from shared.conditions.mistakes import shown
from shared.conditions.tree import Compare
from shared.conditions.values import Kind, kind_of

TraitType = Literal["string", "integer", "decimal", "boolean", "date", "time", "list"]

_READ_AS: Mapping[TraitType, tuple[Kind, ...]] = {
    "string": ("text", "time"),
    "integer": ("number",),
    "decimal": ("number",),
    "boolean": ("boolean",),
    "date": ("text",),
    "time": ("time",),
}
_EXAMPLE: Mapping[TraitType, str] = {
    "string": 'a text such as "gold"',
    "integer": "a number such as 3",
    "decimal": "a number such as 59.9",
    "boolean": "true or false",
    "date": 'a date such as "1990-12-31"',
    "time": 'a time such as "2026-11-01T00:00:00Z"',
}


def type_mistake(leaf: Compare, depth: int, type_: TraitType) -> str | None:
    """Why the comparison cannot hold for any value of a trait of the type; None when it can.
    `depth` is how many names lead to what is compared: 1 is the trait itself."""
    if depth > 1:
        name = leaf.attr.split(".")[-depth]
        return f"{leaf.attr}: {name} is a {type_}, not an object"
    mistake = _mistake(leaf, type_)
    return None if mistake is None else f"{leaf.attr} is a {type_}: {mistake}"


def _mistake(leaf: Compare, type_: TraitType) -> str | None:
    """Why the comparison cannot hold for any value of the type; None when it can."""
    if leaf.op == "exists":
        return None
    if type_ == "list":
        return None if leaf.op == "contains" else f'"{leaf.op}" asks for one value; use "contains"'
    kind = kind_of(leaf.value)
    if leaf.op in ("contains", "starts_with"):
        if type_ in ("string", "date", "time") and isinstance(leaf.value, str):
            return None
        return f'"{leaf.op}" is for texts' + (" and lists" if leaf.op == "contains" else "")
    if kind in _READ_AS[type_]:
        return None
    value = leaf.value[0] if isinstance(leaf.value, tuple) else leaf.value
    return f"{shown(value)} never fits; compare it with {_EXAMPLE[type_]}"
