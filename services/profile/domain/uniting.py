"""Two profiles become one: the state moves over, and both say so in an update of their own."""

from typing import NamedTuple

from services.profile.domain.absorbed import Merge
from services.profile.domain.consent import consent_list
from services.profile.domain.identity import IdentityRules
from services.profile.domain.snapshot import update
from services.profile.domain.working_profile import WorkingProfile


class United(NamedTuple):
    """A merge and its two updates: (profile id, message), the winner's first."""

    merge: Merge
    messages: tuple[tuple[str, bytes], tuple[str, bytes]]


def unite(
    winner: WorkingProfile,
    loser: WorkingProfile,
    *,
    merge_id: str,
    cause: bytes,
    at: str,
    rules: IdentityRules,
) -> United:
    """Merge the loser into the winner, which has the smaller id, whatever identity rules say."""
    moved = tuple(sorted(loser.state.held))
    before = consent_list(winner.state.consents), consent_list(loser.state.consents)
    winner.absorb(loser)
    winner.seq += 1
    loser.seq += 1
    messages = (
        (winner.id, update(winner, cause, rules, merged_from=loser.id)),
        (loser.id, update(loser, cause, rules, merged_into=winner.id)),
    )
    merge = Merge(merge_id, winner.id, loser.id, winner.seq, at, cause, moved, *before)
    return United(merge, messages)
