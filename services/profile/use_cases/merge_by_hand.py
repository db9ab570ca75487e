"""Unite two profiles because a person says so: logged as any merge, told in both updates."""

from collections.abc import Callable, Sequence
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from services.profile.domain.absorb import Rules
from services.profile.domain.absorbed import Merge
from services.profile.domain.identity import Broken, broken_by_union
from services.profile.domain.uniting import unite
from services.profile.domain.working_profile import WorkingProfile
from services.profile.storage import identifiers, merges, profiles
from services.profile.use_cases.naming import merge_id_for
from shared.contracts.times import rfc3339
from shared.contracts.topics import Topics
from shared.errors import Conflict
from shared.kafka.messages import OutboxBuffer

WORDS: dict[Broken, str] = {
    "veto": "each holds a value of an identifier type of which one person has only one",
    "limit": "together they hold more values of an identifier type than one person may",
    "cap": "together they hold more identifiers or merges than one profile may",
}

CauseOf = Callable[[str, str, str], bytes]
"""(merge id, winner, loser) -> the cause, as JSON."""


async def merge_by_hand(
    tx: AsyncConnection,
    pair: Sequence[str],
    cause_of: CauseOf,
    *,
    reason_id: str,
    at: datetime,
    rules: Rules,
    topics: Topics,
    messages: OutboxBuffer,
) -> Merge:
    """Merge the profile with the greater id into the other one.

    Call it before other rows are locked. Both updates are added to `messages`; the caller appends
    them to the outbox in the same transaction. `reason_id` names what the merge is made for: the
    same one gives the merge the same id. Raises Conflict when a profile is not active (any more) or
    an identity rule stands against it.
    """
    locked = await profiles.lock(tx, profiles=sorted(pair))
    active = [one for _, one in sorted(locked.items()) if one.status == "active"]
    if len(active) != 2:
        raise Conflict("One of the two profiles has been merged or erased meanwhile.")
    winner, loser = (WorkingProfile(one, rules.traits) for one in active)
    stamp = rfc3339(at)
    broken = broken_by_union([winner, loser], at=stamp, rules=rules.identity)
    if broken is not None:
        raise Conflict(
            f"An identity rule ({broken}) keeps the two profiles apart: {WORDS[broken]}."
        )
    merge_id = merge_id_for(winner.id, loser.id, reason_id)
    united = unite(
        winner,
        loser,
        merge_id=merge_id,
        cause=cause_of(merge_id, winner.id, loser.id),
        at=stamp,
        rules=rules.identity,
    )
    await profiles.write(tx, [winner, loser])
    moved = {identifiers.identifier_id(key): winner.id for key in united.merge.moved}
    await identifiers.move(tx, moved)
    await merges.insert(tx, [united.merge])
    for profile_id, message in united.messages:
        messages.add(topics.profile_updates, profile_id.encode(), message)
    return united.merge
