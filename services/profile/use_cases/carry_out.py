"""What every decision of a person about identity has in common: locks, rows, evidence, messages.

The order is that of the worker: profiles sorted by id, then identifiers, then the rest.
"""

from collections.abc import Mapping, Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from services.profile.domain.absorb import Rules
from services.profile.domain.profile import StoredProfile
from services.profile.domain.replay import Decision, encode_decision
from services.profile.domain.telling import Told
from services.profile.domain.working_profile import WorkingProfile
from services.profile.storage import deadlines, evidence, groups, identifiers, profiles
from services.profile.use_cases.read_profile import absent
from shared.contracts.topics import Topics
from shared.errors import Infrastructure
from shared.kafka.messages import OutboxBuffer, PartitionCounts
from shared.postgres import outbox

TRIES = 3


async def lock_active(tx: AsyncConnection, ids: Sequence[str]) -> dict[str, StoredProfile]:
    """Lock the active profiles that ids stand for, in order; by the ids that were given.

    Raises NotFound, Gone for one that was erased, and Infrastructure when they keep being merged.
    """
    for _ in range(TRIES):
        now = await profiles.current(tx, ids)
        for asked in ids:
            if asked not in now:
                raise await absent(tx, asked)
        locked = await profiles.lock(tx, profiles=sorted(now.values()))
        if all(one in locked and locked[one].status == "active" for one in now.values()):
            return {asked: locked[now[asked]] for asked in ids}
    raise Infrastructure("postgres", "the profiles keep being merged")


async def carry_out(
    tx: AsyncConnection,
    decision: Decision,
    *,
    changed: Sequence[WorkingProfile],
    moved: Mapping[str, str],
    told: Sequence[Told],
    rules: Rules,
    topics: Topics,
    counts: PartitionCounts,
) -> None:
    """Store what a decision made of locked or new profiles, keep it as evidence, and tell it.

    `moved` are the identifiers that changed hands, with their new profile.
    """
    await profiles.write(tx, changed)
    await deadlines.write(tx, changed)
    await identifiers.move(tx, {identifiers.identifier_id(key): to for key, to in moved.items()})
    await groups.write(tx, changed)
    await evidence.add_decision(
        tx,
        rules=rules.identity.version,
        profiles=[one.id for one in changed],
        decision=encode_decision(decision),
    )
    messages = OutboxBuffer(counts)
    for profile_id, message in told:
        messages.add(topics.profile_updates, profile_id.encode(), message)
    await outbox.append(tx, messages)
