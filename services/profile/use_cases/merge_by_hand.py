"""Unite two profiles because a person says that they are one customer. It can be undone."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec
from msgspec import UNSET
from sqlalchemy.ext.asyncio import AsyncConnection

from services.profile.domain.absorb import Rules
from services.profile.domain.absorbed import Merge
from services.profile.domain.assess import note_due
from services.profile.domain.definitions import Look
from services.profile.domain.profile import StoredProfile
from services.profile.domain.resolve import Breach, broken_by_union
from services.profile.domain.telling import Told, tell_memberships
from services.profile.domain.unite import HandMerge, HandMergeCause, unite
from services.profile.domain.working_profile import WorkingProfile
from services.profile.storage import listing, merges
from services.profile.use_cases.carry_out import carry_out, lock_active
from services.profile.use_cases.live_definitions import LiveDefinitions
from services.profile.use_cases.naming import change_id, hand_merge_id
from shared.contracts.times import rfc3339
from shared.contracts.topics import Topics
from shared.errors import Conflict
from shared.kafka.messages import PartitionCounts
from shared.postgres import audit

KIND = "profile"
"""How the audit log names what is changed."""

MayReplace = Callable[[int | None], None]


class Suggested(NamedTuple):
    """The link suggestion that a person accepted, and its score."""

    id: str
    score: float


class MergedByHand(NamedTuple):
    """The profile that both are from now on, and the id of the merge that made it."""

    profile: StoredProfile
    merge_id: str


async def merge_by_hand(
    tx: AsyncConnection,
    ids: Sequence[str],
    *,
    why: str,
    who: audit.Who,
    may_replace: MayReplace,
    rules: Rules,
    live: LiveDefinitions,
    topics: Topics,
    counts: PartitionCounts,
    suggested: Suggested | None = None,
) -> MergedByHand:
    """Make two profiles one: the older one, which is the smaller id, stays.

    `may_replace` is given its version; `suggested` becomes part of the cause. What a person
    decides obeys the same rules as what a touchpoint does. Raises NotFound, and Conflict when they
    are one already or may not be.
    """
    look = await live.look(tx)
    locked = {one.id: one for one in (await lock_active(tx, ids)).values()}
    if len(locked) < 2:
        raise Conflict("these are one profile already")
    winner, loser = (WorkingProfile(locked[id_], rules.traits) for id_ in sorted(locked))
    may_replace(winner.seq)
    broken = broken_by_union([winner, loser], rules.identity)
    if broken is not None:
        raise Conflict(f"they cannot be one profile: {_because(broken)}")
    decision = _decision(
        winner, loser, at=rfc3339(await listing.business_time(tx)), why=why, who=who, of=suggested
    )
    merge, told = _united(winner, loser, decision, rules, look)
    await carry_out(
        tx,
        decision,
        changed=[winner, loser],
        moved=dict.fromkeys(merge.moved, winner.id),
        told=told,
        rules=rules,
        topics=topics,
        counts=counts,
    )
    await merges.insert(tx, [merge])
    await audit.append(
        tx,
        who=who,
        kind=KIND,
        key=winner.id,
        action="merge",
        before={"profiles": [winner.id, loser.id]},
        after={"profile": winner.id, "merge": decision.id, "why": why},
    )
    return MergedByHand(winner.stored(), decision.id)


def _decision(
    winner: WorkingProfile,
    loser: WorkingProfile,
    *,
    at: str,
    why: str,
    who: audit.Who,
    of: Suggested | None,
) -> HandMerge:
    merge_id = hand_merge_id(winner.id, loser.id, loser.seq)
    cause = HandMergeCause(
        id=merge_id,
        winner=winner.id,
        loser=loser.id,
        actor=who.name,
        why=why,
        at=at,
        suggestion_id=UNSET if of is None else of.id,
        score=UNSET if of is None else of.score,
    )
    encoded = msgspec.json.encode(cause, order="deterministic")
    return HandMerge(id=merge_id, winner=winner.id, loser=loser.id, cause=encoded, at=at)


def _united(
    winner: WorkingProfile, loser: WorkingProfile, decision: HandMerge, rules: Rules, look: Look
) -> tuple[Merge, list[Told]]:
    """The merge, and everything that has to be told of it, in order.

    The customer did nothing just now, so what they enter by it is told with `backfill: true`.
    """
    united = unite(
        winner,
        loser,
        merge_id=decision.id,
        cause=decision.cause,
        at=decision.at,
        rules=rules.identity,
        look=look,
    )
    memberships = tell_memberships(
        winner,
        united.changes,
        at=decision.at,
        look=look,
        rules=rules.identity,
        name=change_id,
        backfill=True,
    )
    for one in (winner, loser):
        note_due(one, look)
    return united.merge, [*united.messages, *memberships]


def _because(broken: Breach) -> str:
    if broken.rule == "veto":
        return f"each has a {broken.type} of its own, which only ever name two people"
    if broken.rule == "cannot_link":
        return "somebody said that they are two people; that has to be taken back first"
    if broken.rule == "limit":
        return f"together they have more values of {broken.type} than one profile may hold"
    return "together they pass the cap of merges or of identifiers"
