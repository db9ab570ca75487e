"""Undo a merge: the loser gets back what it brought, with every fact that hangs on it."""

from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from services.profile.domain.absorb import Rules
from services.profile.domain.consent import Consents
from services.profile.domain.divide import (
    Division,
    SplitCause,
    added_since,
    divide,
    divide_consents,
    sides_of_undo,
)
from services.profile.domain.identity import usable
from services.profile.domain.profile import StoredProfile, identifier_of
from services.profile.domain.working_profile import WorkingProfile
from services.profile.storage import (
    cannot_links,
    consent_history,
    identifiers,
    listing,
    merges,
    profiles,
    touchpoints,
)
from services.profile.storage.merges import Undoable
from services.profile.use_cases.carry_out import carry_out
from services.profile.use_cases.live_definitions import LiveDefinitions
from services.profile.use_cases.merge_by_hand import KIND
from services.profile.use_cases.naming import split_id
from shared.contracts.times import rfc3339
from shared.contracts.topics import Topics
from shared.contracts.touchpoint import envelope_decoder
from shared.errors import Conflict, NotFound
from shared.kafka.messages import PartitionCounts
from shared.postgres import audit

MAX_EVIDENCE = 5000
"""So many of the newest touchpoints are asked where an identifier that came later belongs."""


class Divided(NamedTuple):
    """Both profiles after one was divided, and the identifiers that are kept apart from now on."""

    source: StoredProfile
    target: StoredProfile
    moved: Sequence[str]
    apart: Sequence[tuple[str, str]]


async def undo_merge(
    tx: AsyncConnection,
    merge_id: str,
    *,
    why: str,
    who: audit.Who,
    may_replace: Callable[[int | None], None],
    rules: Rules,
    live: LiveDefinitions,
    topics: Topics,
    counts: PartitionCounts,
) -> Divided:
    """The winner and the revived loser; touchpoints cannot unite them again.

    Identifiers that came after the merge go where the evidence says they belong; in doubt they stay
    with the winner. `may_replace` is given the winner's version. Raises NotFound, and Conflict when
    it was undone before, when the winner was itself merged since, or nothing is left to give back.
    """
    look = await live.look(tx)
    merge = await merges.read(tx, merge_id)
    if merge is None:
        raise NotFound(f"there is no merge {merge_id}")
    locked = await profiles.lock(tx, profiles=[merge.winner, merge.loser])
    merge = await merges.read(tx, merge_id)
    if merge is None:
        raise NotFound(f"merge {merge_id} went when one of its profiles was erased")
    await _check(tx, merge, locked[merge.winner])
    winner = WorkingProfile(locked[merge.winner], rules.traits)
    loser = WorkingProfile(locked[merge.loser], rules.traits)
    may_replace(winner.seq)
    at = await listing.business_time(tx)
    division = await _division(
        tx, merge, winner, loser, why=why, who=who, at=rfc3339(at), rules=rules
    )
    await _share_consents(tx, merge, winner, loser, division.keys)
    told = divide(winner, loser, division, rules.identity, look)
    await carry_out(
        tx,
        division,
        changed=[winner, loser],
        moved=dict.fromkeys(division.keys, loser.id),
        told=told,
        rules=rules,
        topics=topics,
        counts=counts,
    )
    await merges.undo(tx, merge.id, at=at)
    await cannot_links.insert(
        tx, division.apart, cause="undo", cause_id=merge.id, why=why, actor=who.name, at=at
    )
    await audit.append(
        tx,
        who=who,
        kind=KIND,
        key=winner.id,
        action="undo_merge",
        before={"profile": winner.id, "merge": merge.id},
        after={"profiles": [winner.id, loser.id], "moved": len(division.keys), "why": why},
    )
    return Divided(winner.stored(), loser.stored(), division.keys, division.apart)


async def _share_consents(
    tx: AsyncConnection,
    merge: Undoable,
    winner: WorkingProfile,
    loser: WorkingProfile,
    keys: Collection[str],
) -> None:
    now = winner.state.consents
    spoken = await spoken_by(tx, now, keys)
    winner.state.consents, loser.state.consents = divide_consents(
        now, merge.winner_consents, merge.loser_consents, spoken
    )


async def spoken_by(
    tx: AsyncConnection, consents: Consents, identifiers_: Collection[str]
) -> set[str]:
    """The keys of those consents whose last word was said by one of the identifiers."""
    proofs = {one.proof: key for key, one in consents.items() if one.proof is not None}
    anchors = await consent_history.anchors(tx, list(proofs))
    said_by = set(map(identifiers.identifier_id, identifiers_))
    return {proofs[proof] for proof, anchor in anchors.items() if anchor in said_by}


async def _check(tx: AsyncConnection, merge: Undoable, winner: StoredProfile) -> None:
    if merge.undone_at is not None:
        raise Conflict(f"merge {merge.id} was undone at {rfc3339(merge.undone_at)}")
    if winner.merged_into is not None:
        later = await merges.of_loser(tx, winner.id)
        raise Conflict(f"{winner.id} was merged itself since: undo merge {later} first")


async def _division(
    tx: AsyncConnection,
    merge: Undoable,
    winner: WorkingProfile,
    loser: WorkingProfile,
    *,
    why: str,
    who: audit.Who,
    at: str,
    rules: Rules,
) -> Division:
    held = list(winner.state.held)
    moved = await identifiers.keys(tx, merge.moved)
    others = await identifiers.keys(tx, await merges.moved_later(tx, merge))
    disputed = {f"{one['type']}\0{one['value']}" for one in merge.cause.get("joined_on", ())}
    seen: list[list[str]] = []
    if added_since(held, moved, others):
        anchors = [identifiers.identifier_id(key) for key in held]
        for one in await touchpoints.timeline(tx, anchors, limit=MAX_EVIDENCE):
            envelope = envelope_decoder.decode(one.body)
            seen.append(usable(envelope.identifiers, rules.identity).keys)
    try:
        sides = sides_of_undo(held, moved, others, disputed, seen, rules.identity)
    except ValueError as error:
        raise Conflict(f"merge {merge.id} cannot be undone: {error}") from None
    cause = SplitCause(
        id=split_id(winner.id, winner.seq + 1),
        merge_id=merge.id,
        source=winner.id,
        target=loser.id,
        moved=[identifier_of(key) for key in sides.keys],
        actor=who.name,
        why=why,
        at=at,
    )
    return Division(
        source=winner.id,
        target=loser.id,
        keys=sides.keys,
        apart=sides.apart,
        cause=msgspec.json.encode(cause, order="deterministic"),
        at=at,
        n_merges=loser.n_merges + 1,
    )
