"""The fold: touchpoints, in their order, into profiles. The one public function is `absorb`.

It resolves who each touchpoint is about, merges, counts, observes, and writes one update message
for every change. Everything it needs is an argument and everything it found out is in the answer;
the same sequence of touchpoints in batches of any size gives the same messages, byte for byte.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from services.profile.domain.absorbed import (
    NO_IDENTITY,
    Absorbed,
    Arrival,
    Known,
    MergeCause,
    Naming,
)
from services.profile.domain.identity import IdentityRules, Resolution, resolve
from services.profile.domain.profile import (
    CONTEXT_TIMEZONE,
    ProfileState,
    StoredProfile,
    identifier_of,
)
from services.profile.domain.snapshot import update
from services.profile.domain.sums import ORDER_TYPES, revenue_of
from services.profile.domain.survivorship import (
    MAX_NAME,
    MAX_VALUE_BYTES,
    Saying,
    TraitPolicy,
    canonical,
)
from services.profile.domain.uniting import unite
from services.profile.domain.working_profile import WorkingProfile
from shared.contracts.touchpoint import Identifier, TouchpointEnvelope


@dataclass(frozen=True, slots=True)
class Rules:
    """What the fold goes by: who is who, and which source is believed."""

    identity: IdentityRules = field(default_factory=IdentityRules)
    traits: TraitPolicy = field(default_factory=TraitPolicy)


def absorb(arrivals: Iterable[Arrival], known: Known, rules: Rules, naming: Naming) -> Absorbed:
    """Fold `arrivals` into the known profiles, in the order given."""
    fold = _Fold(known, rules, naming)
    for arrival in arrivals:
        fold.apply(arrival)
    return fold.finish()


class _ContextZone(msgspec.Struct, gc=False):
    timezone: str | None = None


_zone_decoder = msgspec.json.Decoder(_ContextZone)


class _Fold:
    """The state of one fold: the known profiles as they become, touchpoint by touchpoint."""

    def __init__(self, known: Known, rules: Rules, naming: Naming) -> None:
        self.rules = rules
        self.naming = naming
        self.known = known
        self.owners = dict(known.owners)
        self.profiles = _Profiles(known.profiles, rules.traits)
        self.result = Absorbed()

    def apply(self, arrival: Arrival) -> None:
        touchpoint, _, named = arrival
        if named.blocked:
            self.result.outcomes["blocked"] += named.blocked
        keys = named.keys
        hint = None if named.hint is None else self._active(named.hint)
        if not keys and hint is None:
            self.result.outcomes[NO_IDENTITY] += 1
            self.result.anchors[touchpoint.id] = None
            return
        owner = self.owners.get(keys[0]) if keys else hint
        if owner is not None and self._all_of(keys, owner):
            self._take_in(self.profiles[owner], keys, arrival)
            return
        resolution = resolve(
            keys,
            self.owners,
            self.profiles,
            hint=hint,
            occurred_at=touchpoint.occurred_at,
            rules=self.rules.identity,
        )
        self._note_refusals(resolution)
        profile = self._profile_for(resolution, touchpoint)
        for key in resolution.new:
            self.owners[key] = self.result.assigned[key] = profile.id
        unkept = resolution.unkept
        kept = [key for key in resolution.keys if key not in unkept] if unkept else resolution.keys
        self._take_in(profile, kept, arrival)

    def _all_of(self, keys: Sequence[str], owner: str) -> bool:
        """Whether all identifiers are known and on this one profile: nothing can break then."""
        owners = self.owners
        for key in keys:  # noqa: SIM110 - a loop, because all() with a generator costs more
            if owners.get(key) != owner:
                return False
        return True

    def finish(self) -> Absorbed:
        self.result.changed = [one for one in self.profiles.values() if one.changed]
        return self.result

    def _active(self, profile_id: str) -> str | None:
        """The active profile that an id of the past stands for; None if there never was one."""
        found = self.known.aliases.get(profile_id)
        while found is not None and self.profiles[found].merged_into is not None:
            found = self.profiles[found].merged_into
        return found

    def _note_refusals(self, resolution: Resolution) -> None:
        outcomes = self.result.outcomes
        if resolution.demoted:
            outcomes["demoted"] += len(resolution.demoted)
            outcomes[f"refused_{resolution.demoted[0].broken}"] += 1
        if resolution.unkept:
            outcomes["unkept"] += len(resolution.unkept)
            outcomes["refused_cap"] += 1

    def _profile_for(
        self, resolution: Resolution, touchpoint: TouchpointEnvelope
    ) -> WorkingProfile:
        if not resolution.profiles:
            return self._create(touchpoint)
        winner = self.profiles[resolution.profiles[0]]
        if len(resolution.profiles) > 1:
            joined_on = [identifier_of(key) for key in resolution.keys if key in self.owners]
            for loser in resolution.profiles[1:]:
                self._merge(winner, self.profiles[loser], touchpoint, joined_on)
        return winner

    def _create(self, touchpoint: TouchpointEnvelope) -> WorkingProfile:
        profile_id = self.naming.profile(touchpoint.id, touchpoint.received_at)
        state = ProfileState(touchpoint.received_at, touchpoint.occurred_at, {}, {})
        stored = StoredProfile(profile_id, "active", None, 0, 0, state)
        self.result.outcomes["created"] += 1
        return self.profiles.add(stored)

    def _merge(
        self,
        winner: WorkingProfile,
        loser: WorkingProfile,
        touchpoint: TouchpointEnvelope,
        joined_on: list[Identifier],
    ) -> None:
        merge_id = self.naming.merge(winner.id, loser.id, touchpoint.id)
        cause = msgspec.json.encode(
            MergeCause(
                id=merge_id,
                touchpoint_id=touchpoint.id,
                winner=winner.id,
                loser=loser.id,
                joined_on=joined_on,
                source=touchpoint.source,
                channel=touchpoint.channel,
                occurred_at=touchpoint.occurred_at,
                received_at=touchpoint.received_at,
                historical=touchpoint.historical,
            ),
            order="deterministic",
        )
        united = unite(
            winner,
            loser,
            merge_id=merge_id,
            cause=cause,
            at=touchpoint.received_at,
            rules=self.rules.identity,
        )
        for key in united.merge.moved:
            self.owners[key] = winner.id
            (self.result.assigned if key in self.result.assigned else self.result.moved)[key] = (
                winner.id
            )
        self.result.messages += united.messages
        self.result.outcomes["merged"] += 1
        self.result.merges.append(united.merge)

    def _take_in(self, profile: WorkingProfile, kept: Sequence[str], arrival: Arrival) -> None:
        """Apply a touchpoint to the profile it is about and say so."""
        touchpoint = arrival.touchpoint
        occurred_at = touchpoint.occurred_at
        for key in kept:
            profile.see(key, occurred_at)
        anchor = kept[0] if kept else profile.strongest_key(self.rules.identity)
        if not arrival.usable.keys or anchor != arrival.usable.keys[0]:
            self.result.anchors[touchpoint.id] = anchor
        order = touchpoint.type in ORDER_TYPES
        revenue = revenue_of(touchpoint.properties) if order else None
        profile.count(anchor, occurred_at, order, revenue)
        self._observe(profile, anchor, touchpoint)
        self._emit(profile, arrival.body)

    def _observe(
        self, profile: WorkingProfile, anchor: str, touchpoint: TouchpointEnvelope
    ) -> None:
        values: dict[str, bytes] = {}
        for name, value in touchpoint.traits.items():
            encoded = canonical(value)
            if len(name) > MAX_NAME or len(encoded) > MAX_VALUE_BYTES or name == CONTEXT_TIMEZONE:
                self.result.outcomes["trait_dropped"] += 1
            else:
                values[name] = encoded
        if b'"timezone"' in bytes(touchpoint.context):
            zone = _zone_of(touchpoint.context)
            if zone is not None:
                values[CONTEXT_TIMEZONE] = zone
        if values:
            source = touchpoint.source
            verified = source in self.rules.traits.verified_sources
            said = Saying(source, touchpoint.occurred_at, touchpoint.id, verified, values)
            profile.observe(anchor, said)

    def _emit(self, profile: WorkingProfile, cause: bytes) -> None:
        profile.seq += 1
        self.result.messages.append((profile.id, update(profile, cause, self.rules.identity)))


def _zone_of(context: msgspec.Raw) -> bytes | None:
    try:
        zone = _zone_decoder.decode(context).timezone
    except msgspec.MsgspecError:
        return None
    return canonical(zone) if zone and len(zone) <= MAX_NAME else None


class _Profiles(dict[str, WorkingProfile]):
    """The profiles that the fold touched; a stored one is taken up when it is first asked for."""

    def __init__(self, stored: Mapping[str, StoredProfile], policy: TraitPolicy) -> None:
        super().__init__()
        self._stored = stored
        self._policy = policy

    def __missing__(self, profile_id: str) -> WorkingProfile:
        profile = WorkingProfile(self._stored[profile_id], self._policy)
        self[profile_id] = profile
        return profile

    def add(self, stored: StoredProfile) -> WorkingProfile:
        profile = self[stored.id] = WorkingProfile(stored, self._policy)
        return profile
