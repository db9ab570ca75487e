"""A profile: its state as it is stored, and the golden view that people and services see.

Facts hang on identifiers: each identifier of a profile carries the sums and the trait observations
of the touchpoints whose anchor it is. So a merge unites two maps, a split divides one, and nothing
is ever summed away. The golden view is derived and never stored.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import msgspec

from services.profile.domain.consent import Consents, consent_list
from services.profile.domain.groups import Links
from services.profile.domain.identity import IdentityRules
from services.profile.domain.standing import Standing
from services.profile.domain.sums import Sums, amount_text, join
from services.profile.domain.survivorship import (
    CONTEXT_TIMEZONE,
    MAX_TRAITS,
    REMOVED,
    Observations,
    Provenance,
    TraitPolicy,
    provenance,
    survivors,
)
from services.profile.domain.tally import Tallies
from shared.contracts.profile_update import Consent
from shared.contracts.touchpoint import Identifier

Status = Literal["active", "merged", "erased"]
IdentifierKey = str
"""`type NUL value`: how the domain names an identifier."""


def key_of(identifier: Identifier) -> IdentifierKey:
    return f"{identifier.type}\0{identifier.value}"


def identifier_of(key: IdentifierKey) -> Identifier:
    type_, _, value = key.partition("\0")
    return Identifier(type_, value)


class Marks(msgspec.Struct, array_like=True, gc=False):
    """What was found out about an identifier beyond its facts; few have any.

    `shared`: many people use it, so it never unites profiles again. `met`: the veto values it came
    with while it was held by somebody else. `apart`: identifiers that a person said are not the
    same one's.
    """

    shared: bool = False
    met: list[IdentifierKey] = []
    apart: list[IdentifierKey] = []


class Held(msgspec.Struct, array_like=True, gc=False):
    """An identifier of a profile, and the facts that hang on it. Times are RFC 3339 UTC."""

    first_seen_at: str
    last_seen_at: str
    sums: Sums | None = None
    traits: Observations | None = None
    marks: Marks | None = None
    events: Tallies | None = None
    links: Links | None = None


class ProfileState(msgspec.Struct, array_like=True, gc=False):
    """Everything that is known of a profile, as it is stored."""

    created_at: str
    last_seen_at: str
    held: dict[IdentifierKey, Held]
    consents: Consents
    standing: Standing | None = None


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(ProfileState)


def encode_state(state: ProfileState) -> bytes:
    return _encoder.encode(state)


def decode_state(data: bytes) -> ProfileState:
    """Raises msgspec.ValidationError when the bytes are no state: the row is damaged."""
    return _decoder.decode(data)


class StoredProfile(msgspec.Struct, frozen=True, gc=False):
    """A row of the profile table. `seq` is the number of its last update."""

    id: str
    status: Status
    merged_into: str | None
    seq: int
    n_merges: int
    state: ProfileState


class GoldenIdentifier(NamedTuple):
    """An identifier as it is shown."""

    type: str
    value: str
    status: str
    first_seen: str
    last_seen: str


class Computed(NamedTuple):
    """The built-in computed traits; `revenue` by currency as decimal text."""

    touchpoints: int
    orders: int
    revenue: dict[str, str]
    first_seen_at: str | None
    last_seen_at: str | None


@dataclass(frozen=True, slots=True)
class GoldenProfile:
    """One person as everybody sees them. `version` is the seq of the last update."""

    id: str
    status: Status
    identifiers: tuple[GoldenIdentifier, ...]
    traits: dict[str, Any]
    computed: Computed
    consents: list[Consent]
    standing: Standing
    timezone: str | None
    created_at: str
    last_seen_at: str
    version: int


def golden(stored: StoredProfile, rules: IdentityRules, policy: TraitPolicy) -> GoldenProfile:
    """The view of a profile: surviving traits, summed sums, identifiers strongest first."""
    state = stored.state
    best = overlaid(survivors(observations(state), policy), state)
    values = {name: msgspec.json.decode(best[name]) for name in shown_traits(best)}
    return GoldenProfile(
        id=stored.id,
        status=stored.status,
        identifiers=tuple(
            _golden_identifier(key, state.held[key])
            for key in strongest_first(state, keys_by_type(state.held), rules, len(state.held))
        ),
        traits=values,
        computed=computed(join(sums(state))),
        consents=consent_list(state.consents),
        standing=state.standing or Standing(),
        timezone=timezone_of(best),
        created_at=state.created_at,
        last_seen_at=state.last_seen_at,
        version=stored.seq,
    )


def _golden_identifier(key: IdentifierKey, held: Held) -> GoldenIdentifier:
    type_, _, value = key.partition("\0")
    shared = held.marks is not None and held.marks.shared
    status = "shared" if shared else "active"
    return GoldenIdentifier(type_, value, status, held.first_seen_at, held.last_seen_at)


def trait_provenance(state: ProfileState, policy: TraitPolicy) -> dict[str, Provenance]:
    """For each shown trait: where its value comes from and what it won over."""
    explained = provenance(observations(state), policy)
    return {name: explained[name] for name in sorted(explained) if name != CONTEXT_TIMEZONE}


def overlaid(observed: Mapping[str, bytes], state: ProfileState) -> Mapping[str, bytes]:
    """Surviving values, those of declared traits as their policies have it."""
    standing = state.standing
    return {**observed, **standing.traits} if standing is not None and standing.traits else observed


def observations(state: ProfileState) -> Iterator[Observations]:
    """The trait observations of every anchor."""
    return (held.traits for held in state.held.values() if held.traits)


def sums(state: ProfileState) -> Iterator[Sums]:
    """The sums of every anchor."""
    return (held.sums for held in state.held.values() if held.sums is not None)


def last_seen_at(held: Held) -> str:
    """When an identifier, or something that hangs on it, was last seen."""
    return (
        held.last_seen_at if held.sums is None else max(held.last_seen_at, held.sums.last_seen_at)
    )


def keys_by_type(keys: Iterable[IdentifierKey]) -> dict[str, list[IdentifierKey]]:
    """The identifiers by the name of their type."""
    by_type: dict[str, list[IdentifierKey]] = {}
    for key in keys:
        by_type.setdefault(key.partition("\0")[0], []).append(key)
    return by_type


def strongest_first(
    state: ProfileState,
    by_type: Mapping[str, Iterable[IdentifierKey]],
    rules: IdentityRules,
    limit: int,
) -> list[IdentifierKey]:
    """At most `limit` of the identifiers in `by_type`, by type priority; within a type the one
    seen last comes first."""
    held = state.held
    if len(held) == 1:
        return list(held)

    def seen(key: IdentifierKey) -> str:
        return held[key].last_seen_at

    listed: list[IdentifierKey] = []
    for name in sorted(by_type, key=rules.type_order):
        listed += sorted(sorted(by_type[name]), key=seen, reverse=True)
        if len(listed) >= limit:
            break
    return listed[:limit]


def shown_traits(best: Mapping[str, bytes]) -> list[str]:
    """Names of the traits that are there, sorted; at most MAX_TRAITS."""
    names = sorted(best)
    if CONTEXT_TIMEZONE in best:
        names.remove(CONTEXT_TIMEZONE)
    if REMOVED in best.values():
        names = [name for name in names if best[name] != REMOVED]
    return names[:MAX_TRAITS]


def timezone_of(best: Mapping[str, bytes]) -> str | None:
    """The trait `timezone`, else the zone that the customer's device reported last."""
    for name in ("timezone", CONTEXT_TIMEZONE):
        found = best.get(name)
        if found is not None and found != REMOVED:
            value = msgspec.json.decode(found)
            if isinstance(value, str):
                return value
    return None


def computed(total: Sums | None) -> Computed:
    """Sums as they are shown."""
    if total is None:
        return Computed(0, 0, {}, None, None)
    return Computed(
        total.touchpoints,
        total.orders,
        {
            currency: amount_text(currency, total.revenue[currency])
            for currency in sorted(total.revenue)
        },
        total.first_seen_at,
        total.last_seen_at,
    )
