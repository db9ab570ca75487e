"""Where the values of a profile's traits come from, also of those that were declared."""

from services.profile.domain.fitting import misfit
from services.profile.domain.kept import MAX_VALUES, join
from services.profile.domain.observed import Heard, Spread, Told, explain
from services.profile.domain.profile import ProfileState, observations, trait_provenance
from services.profile.domain.streams import key_of_declared
from services.profile.domain.survivorship import REMOVED, Provenance, TraitPolicy, corrected
from services.profile.domain.trait import DeclaredTrait, TraitsInForce


def explained_traits(
    state: ProfileState, policy: TraitPolicy, registry: TraitsInForce
) -> dict[str, Provenance]:
    """For each trait: its value, where it comes from and what it won over; of declared traits also
    what is not of their type, with the reason. Until a policy has reached a profile, what was
    observed is all that is known."""
    explained = trait_provenance(state, policy)
    decided = {} if state.standing is None else state.standing.traits
    corrections = corrected(observations(state))
    for name, trait in registry.declared.items():
        if name not in decided or name in corrections:
            continue
        found = explain(_kept(state, trait), trait, _refused(state, trait), MAX_VALUES)
        if found is not None:
            explained[name] = found
        elif decided[name] == REMOVED:
            explained.pop(name, None)
    return dict(sorted(explained.items()))


def _kept(state: ProfileState, trait: DeclaredTrait) -> Heard | Spread:
    key = key_of_declared(trait)
    kept = [
        held.events[key].kept
        for held in state.held.values()
        if held.events is not None and key in held.events
    ]
    joined = join([one for one in kept if one is not None]) if any(kept) else Heard([])
    return joined if isinstance(joined, Heard | Spread) else Heard([])


def _refused(state: ProfileState, trait: DeclaredTrait) -> list[tuple[Told, str]]:
    """The last words of sources that are not of the declared type, newest first."""
    refused = []
    for held in state.held.values():
        for said in held.traits or ():
            value = said.values.get(trait.name)
            why = None if value is None else misfit(value, trait.type)
            if value is not None and why is not None:
                told = Told(said.source, said.occurred_at, said.touchpoint_id, said.verified,
                            value.decode())  # fmt: skip
                refused.append((told, why))
    return sorted(refused, key=lambda one: one[0].occurred_at, reverse=True)
