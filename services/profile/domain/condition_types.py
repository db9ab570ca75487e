"""Checks conditions against the types of the traits that they ask for."""

from collections.abc import Iterable, Mapping

from services.profile.domain.trait import BUILT_IN, NUMERIC, ComputedTrait, TraitsInForce, TraitType
from shared.conditions.facts import locate
from shared.conditions.leaves import leaves_of
from shared.conditions.mistakes import did_you_mean, shown
from shared.conditions.tree import Compare, Condition
from shared.conditions.values import Kind, kind_of
from shared.errors import Problem

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


def check_traits(
    condition: Condition, traits: TraitsInForce, *, path: str = "condition"
) -> list[Problem]:
    """What a condition asks of traits that they can never answer."""
    return list(_problems(condition, traits, path))


def _problems(condition: Condition, traits: TraitsInForce, path: str) -> Iterable[Problem]:
    for leaf in leaves_of(condition):
        if not isinstance(leaf, Compare) or not leaf.attr.startswith("profile."):
            continue
        location = locate(leaf.attr)
        name = location.path[0]
        known = {*traits.computed, *BUILT_IN}
        if location.root == "computed" and name not in known:
            hint = did_you_mean(name, sorted(known))
            message = f"no computed trait {shown(name)} is in force.{hint}"
            yield Problem(path, "unknown_trait", message)
            continue
        type_ = _type_of(location.root == "computed", name, traits)
        if type_ is None:
            continue
        if len(location.path) > 1:
            yield Problem(path, "trait_type", f"{leaf.attr}: {name} is a {type_}, not an object")
        elif mistake := _mistake(leaf, type_):
            yield Problem(path, "trait_type", f"{leaf.attr} is a {type_}: {mistake}")


def _type_of(is_computed: bool, name: str, traits: TraitsInForce) -> TraitType | None:
    if not is_computed:
        declared = traits.declared.get(name)
        return None if declared is None else declared.type
    if name in BUILT_IN:
        return None
    return type_of(traits.computed[name])


def type_of(trait: ComputedTrait) -> TraitType | None:
    """The type of a computed trait's values; None where it is that of what is aggregated."""
    if trait.aggregate in ("count", "distinct_count", "days_since"):
        return "integer"
    if trait.aggregate in NUMERIC:
        return "decimal"
    return "time" if trait.of is None else None


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
