"""Two profiles become one: the smaller id takes over everything, the other stays behind, empty."""

from typing import NamedTuple

import msgspec
from msgspec import UNSET, UnsetType

from services.profile.domain.absorbed import Merge
from services.profile.domain.assess import Change, assess, epoch_of
from services.profile.domain.belonging import regroup
from services.profile.domain.definitions import NO_LOOK, Look
from services.profile.domain.derive import derive_all
from services.profile.domain.identity import IdentityRules
from services.profile.domain.snapshot import Link
from services.profile.domain.telling import Told, tell
from services.profile.domain.working_profile import WorkingProfile
from shared.contracts.touchpoint import Identifier


class HandMergeCause(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Why profiles were united: a person said so, and gave a reason, or accepted a suggestion of
    this score."""

    kind: str = "merged"
    id: str
    winner: str
    loser: str
    joined_on: list[Identifier] = []
    actor: str
    why: str
    at: str
    suggestion_id: str | UnsetType = UNSET
    score: float | UnsetType = UNSET


class HandMerge(msgspec.Struct, frozen=True, gc=False, kw_only=True, tag="merge"):
    """A merge that a person decided, complete. `at` is RFC 3339 UTC."""

    id: str
    winner: str
    loser: str
    cause: bytes
    at: str


class United(NamedTuple):
    """A merge that was made, and what has to be told of it: the winner first, and then what became
    of its memberships."""

    merge: Merge
    messages: tuple[Told, Told]
    changes: list[Change]


def unite(
    winner: WorkingProfile,
    loser: WorkingProfile,
    *,
    merge_id: str,
    cause: bytes,
    at: str,
    rules: IdentityRules,
    look: Look = NO_LOOK,
) -> United:
    """Merge two active profiles. `at` (RFC 3339 UTC) is when that was decided; `look` says what
    the one that stays is a member of now."""
    moved = tuple(sorted(loser.state.held))
    before = dict(winner.state.consents), dict(loser.state.consents)
    for side in (winner, loser):
        side.standing.epoch = epoch_of(side, look.definitions)
    winner.absorb(loser)
    derive_all(winner, look, epoch_of(winner, look.definitions))
    changes, _ = regroup(winner, look.definitions)
    changes += assess(winner, look, look.definitions.everyone, at=at)
    number = loser.seq + 1
    to_winner = tell(winner, cause, rules, Link("merged_from", loser.id, number), look=look)
    to_loser = tell(loser, cause, rules, Link("merged_into", winner.id, number), look=look)
    merge = Merge(merge_id, winner.id, loser.id, winner.seq, at, cause, moved, *before)
    return United(merge, (to_winner, to_loser), changes)
