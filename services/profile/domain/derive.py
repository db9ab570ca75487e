"""Finds the values of declared and computed traits anew, where something may have changed them.

They are kept in the standing of a profile, as memberships are: what a profile lacks the history of
stays as it is until `history` brought it.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from services.profile.domain import kept as forms
from services.profile.domain.computing import value_of
from services.profile.domain.definitions import Computed, Declared, Definitions, Look
from services.profile.domain.fitting import misfit
from services.profile.domain.kept import MAX_VALUES
from services.profile.domain.observed import Heard, Spread, Told, surviving
from services.profile.domain.survivorship import REMOVED, Saying
from services.profile.domain.tally import Tally
from services.profile.domain.working_profile import WorkingProfile

COMPUTED = "computed."
EVER = -1
"""An epoch before every other."""


class Derived(NamedTuple):
    """The nodes that the new values can concern, and what changed: the values (JSON) as they were
    before, by name; computed traits as `computed.<name>`."""

    mask: int = 0
    before: Mapping[str, bytes] = {}


def derive_all(
    profile: WorkingProfile, look: Look, epoch: int, *, newer_than: int = EVER
) -> Derived:
    """Find again every trait of which a profile of that epoch has the history, if its definition is
    newer than that; and drop the values of those that are not in force any more."""
    definitions = look.definitions
    if not definitions.has_traits and not profile.has_derived:
        return Derived()
    gone = _drop_what_is_gone(profile, definitions)
    computed = derive_computed(
        profile,
        [
            one
            for one in definitions.computed
            if newer_than < one.since and definitions.streams[one.stream].since <= epoch
        ],
        look,
    )
    declared = derive_declared(
        profile,
        [
            one
            for one in definitions.declared.values()
            if newer_than < one.since and one.kept_since <= epoch
        ],
        definitions,
    )
    return Derived(
        gone.mask | computed.mask | declared.mask,
        {**gone.before, **computed.before, **declared.before},
    )


def derive_computed(profile: WorkingProfile, traits: Iterable[Computed], look: Look) -> Derived:
    """Find computed traits at the instant of the look."""
    definitions, now = look
    mask, changed = 0, dict[str, bytes]()
    standing = profile.standing
    for trait, stream, _ in traits:
        tally = profile.tallies.of(stream, definitions.streams[stream].keep)
        value = value_of(trait, tally, now)
        before = standing.computed.get(trait.name)
        if value == before:
            continue
        if value is None:
            del standing.computed[trait.name]
        else:
            standing.computed[trait.name] = value
        profile.forget_computed()
        mask |= definitions.by_computed.get(trait.name, 0)
        if before is not None or value != definitions.initial.get(trait.name):
            changed[COMPUTED + trait.name] = REMOVED if before is None else before
    return Derived(mask, changed)


def derive_declared(
    profile: WorkingProfile, traits: Iterable[Declared], definitions: Definitions
) -> Derived:
    """Find the surviving values of declared traits."""
    mask, changed = 0, dict[str, bytes]()
    for one in traits:
        name, correction = one.trait.name, profile.traits.corrections().get(one.trait.name)
        if correction is None:
            value = _surviving(profile.tallies.of(one.stream, 0), one)
        else:
            value = correction.value
        if value is None and name not in profile.traits.survivors():
            continue
        value = REMOVED if value is None else value
        if profile.standing.traits.get(name) == value:
            continue
        before = profile.survivors().get(name, REMOVED)
        profile.standing.traits[name] = value
        profile.forget_traits()
        if before != value:
            mask |= definitions.by_trait.get(name, 0)
            changed[name] = before
    return Derived(mask, changed)


def note_traits(
    profile: WorkingProfile, anchor: str, said: Saying, names: Iterable[str], look: Look, epoch: int
) -> int:
    """Take what a touchpoint said of declared traits into account; which nodes that concerns."""
    declared = [look.definitions.declared[name] for name in names]
    ready = [one for one in declared if one.kept_since <= epoch]
    for one in ready:
        add_to_declared(profile, anchor, one, told_of(said, one.trait.name))
    return derive_declared(profile, ready, look.definitions).mask


def told_of(said: Saying, name: str) -> Told:
    """What a touchpoint said of one trait."""
    value = said.values[name].decode()
    return Told(said.source, said.occurred_at, said.touchpoint_id, said.verified, value)


def add_to_declared(profile: WorkingProfile, anchor: str, one: Declared, told: Told) -> None:
    """Keep what was said, if it is of the declared type."""
    if misfit(told.value.encode(), one.trait.type) is not None:
        return
    profile.count_value(anchor, one.stream, lambda kept: forms.add_trait(kept, one.trait, told))


def _surviving(tally: Tally | None, one: Declared) -> bytes | None:
    if tally is None or not isinstance(tally.kept, Heard | Spread):
        return None
    return surviving(tally.kept, one.trait, MAX_VALUES)


def _drop_what_is_gone(profile: WorkingProfile, definitions: Definitions) -> Derived:
    standing, mask, changed = profile.standing, 0, dict[str, bytes]()
    computed = {one.trait.name for one in definitions.computed}
    for name in sorted(standing.computed.keys() - computed):
        changed[COMPUTED + name] = standing.computed.pop(name)
        profile.forget_computed()
        mask |= definitions.by_computed.get(name, 0)
    for name in sorted(standing.traits.keys() - definitions.declared.keys()):
        before = standing.traits.pop(name)
        profile.forget_traits()
        if profile.survivors().get(name, REMOVED) != before:
            mask |= definitions.by_trait.get(name, 0)
            changed[name] = before
    return Derived(mask, changed)
