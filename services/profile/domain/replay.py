"""Makes the profiles again from the evidence: touchpoints and decisions of people, in their order.

The same fold and the same divisions as the live service, in memory. What comes out has to equal
what is stored, byte for byte but for consents and other things that are no matter of identity.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from services.profile.domain.absorb import Rules, absorb
from services.profile.domain.absorbed import Absorbed, Arrival, Known, Naming
from services.profile.domain.definitions import NO_LOOK, Look
from services.profile.domain.divide import (
    Division,
    divide,
    forget_apart,
    keep_apart,
    new_profile,
)
from services.profile.domain.identity import stand_in
from services.profile.domain.profile import (
    ProfileState,
    Status,
    StoredProfile,
    decode_state,
    encode_state,
)
from services.profile.domain.rectify import Rectification, rectify
from services.profile.domain.telling import Told
from services.profile.domain.unite import HandMerge, unite
from services.profile.domain.working_profile import WorkingProfile


class Apart(msgspec.Struct, frozen=True, gc=False, kw_only=True, tag="apart"):
    """A person said that two identifiers are two people's (`apart`), or took that back."""

    one: str
    other: str
    apart: bool = True


Decision = HandMerge | Division | Apart | Rectification

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Decision] = msgspec.msgpack.Decoder(Decision)


def encode_decision(decision: Decision) -> bytes:
    return _encoder.encode(decision)


def decode_decision(data: bytes) -> Decision:
    """Raises msgspec.ValidationError when the bytes are no decision."""
    return _decoder.decode(data)


@dataclass(frozen=True, slots=True)
class Row:
    """A profile as it is kept between two steps: its state as bytes, as the database has it."""

    status: Status
    merged_into: str | None
    seq: int
    n_merges: int
    state: bytes


@dataclass(slots=True)
class Replay:
    """The profiles so far. `owners` and `shared` are what the identifier table says."""

    naming: Naming
    rows: dict[str, Row] = field(default_factory=dict)
    owners: dict[str, str] = field(default_factory=dict)
    shared: set[str] = field(default_factory=set)

    def take(self, arrivals: Sequence[Arrival], rules: Rules, look: Look = NO_LOOK) -> Absorbed:
        """Absorb touchpoints under the rules that were in force; `look` says what profiles are
        members of, which is no matter of identity."""
        result = absorb(arrivals, self._known(arrivals, look), rules, self.naming)
        for one in result.changed:
            self._keep(one)
        self.owners.update(result.assigned)
        self.owners.update(result.moved)
        self.shared.update(result.shared)
        return result

    def decide(self, decision: Decision, rules: Rules) -> list[Told]:
        """Carry out what a person decided; what has to be told of it."""
        match decision:
            case HandMerge():
                return self._unite(decision, rules)
            case Division():
                return self._divide(decision, rules)
            case Apart():
                self._set_apart(decision, rules)
                return []
            case Rectification():
                profile = WorkingProfile(self.stored(decision.profile), rules.traits)
                rectify(profile, decision)
                self._keep(profile)
                return []

    def stored(self, profile_id: str) -> StoredProfile:
        """A profile as the database has it. Raises KeyError."""
        row = self.rows[profile_id]
        state = decode_state(row.state)
        return StoredProfile(profile_id, row.status, row.merged_into, row.seq, row.n_merges, state)

    def current(self, profile_id: str) -> str | None:
        """The active profile that an id stands for; None if there never was one."""
        while (row := self.rows.get(profile_id)) is not None and row.merged_into is not None:
            profile_id = row.merged_into
        return None if row is None else profile_id

    def _known(self, arrivals: Sequence[Arrival], look: Look) -> Known:
        keys = {key for one in arrivals for key in one.usable.keys}
        shared = keys & self.shared
        keys.update(map(stand_in, shared))
        owners = {key: self.owners[key] for key in keys if key in self.owners and key not in shared}
        hints = {one.usable.hint for one in arrivals if one.usable.hint is not None}
        aliases = {hint: now for hint in hints if (now := self.current(hint)) is not None}
        profiles = {one: self.stored(one) for one in {*owners.values(), *aliases.values()}}
        return Known(profiles, owners, aliases, shared=frozenset(shared), look=look)

    def _unite(self, decision: HandMerge, rules: Rules) -> list[Told]:
        winner, loser = (
            WorkingProfile(self.stored(one), rules.traits)
            for one in (decision.winner, decision.loser)
        )
        united = unite(
            winner,
            loser,
            merge_id=decision.id,
            cause=decision.cause,
            at=decision.at,
            rules=rules.identity,
        )
        self.owners.update(dict.fromkeys(united.merge.moved, winner.id))
        self._keep(winner)
        self._keep(loser)
        return list(united.messages)

    def _divide(self, decision: Division, rules: Rules) -> list[Told]:
        source = WorkingProfile(self.stored(decision.source), rules.traits)
        target = (
            WorkingProfile(self.stored(decision.target), rules.traits)
            if decision.target in self.rows
            else new_profile(decision.target, decision.at, rules.traits)
        )
        told = divide(source, target, decision, rules.identity)
        self.owners.update(dict.fromkeys(decision.keys, target.id))
        self._keep(source)
        self._keep(target)
        return list(told)

    def _set_apart(self, decision: Apart, rules: Rules) -> None:
        keys = (decision.one, decision.other)
        owners = sorted({self.owners[key] for key in keys if key in self.owners})
        profiles = [WorkingProfile(self.stored(one), rules.traits) for one in owners]
        (keep_apart if decision.apart else forget_apart)(profiles, *keys)
        for profile in profiles:
            self._keep(profile)

    def _keep(self, profile: WorkingProfile) -> None:
        self.rows[profile.id] = Row(
            profile.status,
            profile.merged_into,
            profile.seq,
            profile.n_merges,
            encode_state(profile.state),
        )


def differences(
    replayed: Mapping[str, Row],
    live: Mapping[str, Row],
    *,
    limit: int = 100,
    gone: Collection[str] = (),
) -> list[str]:
    """Where stored profiles are not what the evidence makes of them, in words; at most `limit`.

    Those that are `gone` were erased: there is nothing left to compare. Consents, memberships with
    what they count, links to groups and lists, and the number of the last update also change by
    other things than identity, so they are not compared.
    """
    found = []
    for profile_id in sorted((replayed.keys() - set(gone)) | live.keys()):
        made, stored = replayed.get(profile_id), live.get(profile_id)
        if made is None or stored is None:
            missing = "is not stored" if stored is None else "has no evidence"
            found.append(f"profile {profile_id} {missing}")
        else:
            found += [
                f"profile {profile_id}: {what}"
                for what, same in _compared(made, stored)
                if not same
            ]
        if len(found) >= limit:
            break
    return found[:limit]


def _compared(made: Row, stored: Row) -> list[tuple[str, bool]]:
    ours, theirs = _identity_of(made.state), _identity_of(stored.state)
    return [
        (f"status is {stored.status}, not {made.status}", made.status == stored.status),
        ("it stands for another profile", made.merged_into == stored.merged_into),
        ("number of merges", made.n_merges == stored.n_merges),
        ("identifiers, sums or traits", ours == theirs),
    ]


def _identity_of(state: bytes) -> bytes:
    decoded = decode_state(state)
    for held in decoded.held.values():
        held.events = held.links = None
    return encode_state(ProfileState(decoded.created_at, decoded.last_seen_at, decoded.held, {}))
