"""What goes into the fold of touchpoints, and what comes out of it."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from services.profile.domain.consent import Consents
from services.profile.domain.consent_change import Entry
from services.profile.domain.definitions import NO_LOOK, Look
from services.profile.domain.evidence import Note
from services.profile.domain.group_call import GroupCall
from services.profile.domain.identity import Usable
from services.profile.domain.profile import StoredProfile
from services.profile.domain.working_profile import WorkingProfile
from shared.contracts.touchpoint import Identifier, TouchpointEnvelope

NO_IDENTITY = "no_identity"
"""Why a touchpoint was stored without a profile: nothing in it names a person."""


class Arrival(NamedTuple):
    """A touchpoint that is applied for the first time; `body` is its JSON as it came."""

    touchpoint: TouchpointEnvelope
    body: bytes
    usable: Usable


@dataclass(frozen=True, slots=True)
class Naming:
    """How new things get their ids: the same touchpoint must always give the same ids.

    `profile(touchpoint id, received_at)`; `merge(winner, loser, touchpoint id)`; `change(profile,
    seq)` for an update that no touchpoint is the cause of.
    """

    profile: Callable[[str, str], str]
    merge: Callable[[str, str, str], str]
    change: Callable[[str, int], str]


@dataclass(frozen=True, slots=True)
class Known:
    """What is stored and locked before the fold.

    `owners`: identifier -> active profile. `aliases`: profile id of a reserved identifier -> the
    active profile it has become. `profiles` holds every profile that these name. `shared` are the
    identifiers that many people use; they have no owner here. `look` says what they are members of.
    """

    profiles: Mapping[str, StoredProfile]
    owners: Mapping[str, str]
    aliases: Mapping[str, str] = field(default_factory=dict)
    shared: frozenset[str] = frozenset()
    look: Look = NO_LOOK


class MergeCause(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Why profiles were united: the touchpoint, and its identifiers that pointed at both."""

    kind: str = "merged"
    id: str
    touchpoint_id: str
    winner: str
    loser: str
    joined_on: list[Identifier]
    source: str
    channel: str
    occurred_at: str
    received_at: str
    historical: bool = False


class Merge(NamedTuple):
    """A merge that happened. `moved` are the identifiers that went over; consents are as before."""

    id: str
    winner: str
    loser: str
    winner_seq: int
    at: str
    cause: bytes
    moved: tuple[str, ...]
    winner_consents: Consents
    loser_consents: Consents


class Said(NamedTuple):
    """What a touchpoint said about consents: one entry of the history, on its anchor."""

    entry: Entry
    profile_id: str
    anchor: str
    source: str
    touchpoint_id: str


@dataclass(slots=True)
class Absorbed:
    """What the fold found out.

    `messages`: (profile id, update) in order. `changed`: every profile to be written. `assigned`:
    identifiers that are new; `moved`: known ones that changed hands. `anchors`: touchpoint id ->
    the identifier it hangs on (None: nobody), only where it is not the strongest usable one.
    `shared`: known identifiers that turned out to be many people's. `placed`: the profile of each
    touchpoint, in order; `notes`: by its place, what is worth knowing of how it came there.
    `calls` are what was said of groups, in order; `said` what touchpoints said about consents.
    `outcomes` counts `created`, `merged`, `demoted`, `unkept`, `no_identity`, `blocked`,
    `trait_dropped`, `consent_dropped` and `refused_<rule>`.
    """

    messages: list[tuple[str, bytes]] = field(default_factory=list)
    changed: list[WorkingProfile] = field(default_factory=list)
    assigned: dict[str, str] = field(default_factory=dict)
    moved: dict[str, str] = field(default_factory=dict)
    merges: list[Merge] = field(default_factory=list)
    anchors: dict[str, str | None] = field(default_factory=dict)
    shared: list[str] = field(default_factory=list)
    placed: list[str | None] = field(default_factory=list)
    notes: dict[int, Note] = field(default_factory=dict)
    said: list[Said] = field(default_factory=list)
    calls: list[GroupCall] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)
