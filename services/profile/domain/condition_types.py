"""Checks conditions against the types of the traits that they ask for."""

from collections.abc import Iterable

from services.profile.domain.trait import BUILT_IN, NUMERIC, ComputedTrait, TraitsInForce
from shared.conditions.facts import locate
from shared.conditions.leaves import leaves_of
from shared.conditions.mistakes import did_you_mean, shown
from shared.conditions.trait_types import TraitType, type_mistake
from shared.conditions.tree import Compare, Condition
from shared.errors import Problem


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
        if type_ is not None and (mistake := type_mistake(leaf, len(location.path), type_)):
            yield Problem(path, "trait_type", mistake)


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
