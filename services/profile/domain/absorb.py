"""The fold: touchpoints, in their order, into profiles: `absorb`, or `Fold` one by one.

It resolves who each touchpoint is about, merges, counts, observes, and writes one update message
for every change. Everything it needs is an argument and everything it found out is in the answer;
the same sequence of touchpoints in batches of any size gives the same messages, byte for byte.
"""

from collections.abc import Iterable, Sequence, Set
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
from services.profile.domain.assess import Change, assess, note_due
from services.profile.domain.changed_traits import changed_since, values_before
from services.profile.domain.consent_rules import ConsentRules
from services.profile.domain.evidence import note_of
from services.profile.domain.group_call import KIND as GROUP
from services.profile.domain.group_call import group_call
from services.profile.domain.identity import VALUES_UNTIL_SHARED, IdentityRules, stand_in
from services.profile.domain.listening import Listener
from services.profile.domain.members import Members
from services.profile.domain.profile import (
    ProfileState,
    StoredProfile,
    identifier_of,
)
from services.profile.domain.resolve import Resolution, resolve
from services.profile.domain.standing import Standing
from services.profile.domain.stated_traits import hang_traits
from services.profile.domain.sums import ORDER_TYPES, revenue_of
from services.profile.domain.survivorship import (
    TraitPolicy,
)
from services.profile.domain.telling import tell
from services.profile.domain.trait import TraitsInForce
from services.profile.domain.unite import unite
from services.profile.domain.working_profile import WorkingProfile
from services.profile.domain.working_profiles import WorkingProfiles
from shared.contracts.touchpoint import Identifier, TouchpointEnvelope

NOTHING: Set[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Rules:
    """What the fold goes by: who is who, which source is believed, what consents are for.
    `registry` is for showing traits; what decides about them comes with the definitions of each
    transaction."""

    identity: IdentityRules = field(default_factory=IdentityRules)
    traits: TraitPolicy = field(default_factory=TraitPolicy)
    registry: TraitsInForce = field(default_factory=TraitsInForce)
    consents: ConsentRules = field(default_factory=ConsentRules)


def absorb(arrivals: Iterable[Arrival], known: Known, rules: Rules, naming: Naming) -> Absorbed:
    """Fold `arrivals` into the known profiles, in the order given."""
    fold = Fold(known, rules, naming)
    for arrival in arrivals:
        fold.apply(arrival)
    return fold.finish()


class Fold:
    """The state of one fold: the known profiles as they become, touchpoint by touchpoint.

    For whoever has to do something else in between; `absorb` is all of it at once.
    """

    def __init__(self, known: Known, rules: Rules, naming: Naming) -> None:
        self.rules = rules
        self.naming = naming
        self.known = known
        self.look = known.look
        self.owners = dict(known.owners)
        self.shared = set(known.shared)
        self.profiles = WorkingProfiles(known.profiles, rules.traits)
        self.result = Absorbed()
        self.members = Members(known.look, rules.identity, naming.change, self.result.messages)
        self.listener = Listener(rules.consents, known.look, rules.identity, naming, self.result)

    def apply(self, arrival: Arrival) -> None:
        """Fold the next touchpoint."""
        touchpoint, _, named = arrival
        if touchpoint.kind == GROUP and (call := group_call(touchpoint, self.rules.identity)):
            self.result.calls.append(call)
        hint = None if named.hint is None else self._active(named.hint)
        keys, aside = named.keys, NOTHING
        if self.shared and not self.shared.isdisjoint(keys):
            aside = self.shared.intersection(keys)
            keys = self._own(keys, aside, hint)
        if named.blocked:
            self.result.outcomes["blocked"] += named.blocked
        if not keys and hint is None:
            self.result.outcomes[NO_IDENTITY] += 1
            self.result.anchors[touchpoint.id] = None
            self._place(arrival, None, aside)
            return
        owner = self.owners.get(keys[0]) if keys else hint
        if owner is not None and self._all_of(keys, owner):
            self._take_in(self.profiles[owner], keys, arrival)
            self._place(arrival, owner, aside)
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
        if resolution.demoted:
            self._look_for_shared(named.keys, resolution)
        profile = self._profile_for(resolution, touchpoint)
        for key in resolution.new:
            self.owners[key] = self.result.assigned[key] = profile.id
        unkept = resolution.unkept
        kept = [key for key in resolution.keys if key not in unkept] if unkept else resolution.keys
        self._take_in(profile, kept, arrival)
        self._place(arrival, profile.id, aside, resolution)

    def _own(self, keys: Sequence[str], aside: Set[str], hint: str | None) -> list[str]:
        """Only what is one person's own. What shared identifiers do alone hangs on a stand-in for
        the strongest of them, and is nobody's."""
        self.result.outcomes["refused_shared"] += 1
        own = [key for key in keys if key not in aside]
        return own if own or hint is not None else [stand_in(keys[0])]

    def _look_for_shared(self, keys: Sequence[str], resolution: Resolution) -> None:
        """Remember the veto values that demoted identifiers came with; enough of them say that an
        identifier is many people's."""
        rules = self.rules.identity
        vetoes = [type_.name for type_ in rules.types.values() if type_.veto]
        here = {key for key in keys if rules.vetoes(key)}
        for profile_id in resolution.profiles:
            here.update(key for name in vetoes for key in self.profiles[profile_id].keys_of(name))
        for key, broken in resolution.demoted:
            owner = self.owners.get(key)
            if broken.rule != "veto" or owner is None or rules.vetoes(key):
                continue
            holder = self.profiles[owner]
            known = {other for name in vetoes for other in holder.keys_of(name)}
            marks = holder.state.held[key].marks
            known.update(() if marks is None else marks.met)
            if here <= known:
                continue
            marks = holder.marks_of(key)
            marks.met = sorted({*marks.met, *(here - known)})
            role = rules.of(key.partition("\0")[0]).role
            if len(known | here) >= VALUES_UNTIL_SHARED[role]:
                marks.shared = True
                self.shared.add(key)
                self.result.shared.append(key)
                self.result.outcomes["shared"] += 1

    def _place(
        self,
        arrival: Arrival,
        profile_id: str | None,
        aside: Set[str],
        resolution: Resolution | None = None,
    ) -> None:
        """Keep as evidence where a touchpoint went, and why unless that is plain."""
        if resolution is not None or aside:
            self.result.notes[len(self.result.placed)] = note_of(
                arrival.touchpoint.identifiers, resolution, aside, self.rules.identity
            )
        self.result.placed.append(profile_id)

    def _all_of(self, keys: Sequence[str], owner: str) -> bool:
        """Whether all identifiers are known and on this one profile: nothing can break then."""
        owners = self.owners
        for key in keys:  # noqa: SIM110 - a loop, because all() with a generator costs more
            if owners.get(key) != owner:
                return False
        return True

    def finish(self) -> Absorbed:
        """What the fold found out; nothing may be applied afterwards."""
        self.result.changed = [one for one in self.profiles.values() if one.changed]
        for one in self.result.changed:
            note_due(one, self.look)
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
            outcomes[f"refused_{resolution.demoted[0].broken.rule}"] += 1
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
        definitions = self.look.definitions
        state.standing = Standing(epoch=definitions.epoch, computed=dict(definitions.initial))
        stored = StoredProfile(profile_id, "active", None, 0, 0, state)
        self.result.outcomes["created"] += 1
        self.members.created.add(profile_id)
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
        self.members.catch_up(winner, touchpoint)
        self.members.catch_up(loser, touchpoint)
        united = unite(
            winner,
            loser,
            merge_id=merge_id,
            cause=cause,
            at=touchpoint.received_at,
            rules=self.rules.identity,
            look=self.look,
        )
        for key in united.merge.moved:
            self.owners[key] = winner.id
            (self.result.assigned if key in self.result.assigned else self.result.moved)[key] = (
                winner.id
            )
        self.result.messages += united.messages
        self.members.tell(winner, united.changes, touchpoint)
        self.result.outcomes["merged"] += 1
        self.result.merges.append(united.merge)

    def _take_in(self, profile: WorkingProfile, kept: Sequence[str], arrival: Arrival) -> None:
        """Apply a touchpoint to the profile it is about and say so."""
        touchpoint = arrival.touchpoint
        occurred_at = touchpoint.occurred_at
        self.members.catch_up(profile, touchpoint)
        before = values_before(profile, touchpoint, self.look.definitions)
        for key in kept:
            profile.see(key, occurred_at)
        anchor = kept[0] if kept else profile.strongest_key(self.rules.identity)
        if not arrival.usable.keys or anchor != arrival.usable.keys[0]:
            self.result.anchors[touchpoint.id] = anchor
        order = touchpoint.type in ORDER_TYPES
        revenue = revenue_of(touchpoint.properties) if order else None
        profile.count(anchor, occurred_at, order, revenue)
        is_new = profile.id in self.members.created
        stated = hang_traits(profile, anchor, touchpoint, self.look, is_new=is_new)
        if stated.dropped:
            self.result.outcomes["trait_dropped"] += stated.dropped
        mask = stated.mask | self.members.note(profile, anchor, touchpoint)
        heard = None
        if touchpoint.type in self.rules.consents.events:
            heard = self.listener.hear(profile, anchor, touchpoint)
            mask |= self.look.definitions.by_consent if heard else 0
        changes: list[Change] = []
        if arrival.usable.links or touchpoint.kind == GROUP:
            changes, concerns = self.members.link(profile, anchor, arrival)
            mask |= concerns
        if mask:
            changes += assess(profile, self.look, mask, at=touchpoint.received_at)
        changed = changed_since(profile, before)
        self.result.messages.append(
            tell(profile, arrival.body, self.rules.identity, look=self.look, changed=changed)
        )
        if heard:
            self.listener.tell(profile, heard, touchpoint)
        if changes:
            self.members.tell(profile, changes, touchpoint)
