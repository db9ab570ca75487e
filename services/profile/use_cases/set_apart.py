"""Say that two identifiers are two people's, or take that back."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from services.profile.domain.absorb import Rules
from services.profile.domain.divide import forget_apart, keep_apart
from services.profile.domain.replay import Apart
from services.profile.domain.working_profile import WorkingProfile
from services.profile.storage import cannot_links, listing
from services.profile.use_cases.carry_out import carry_out, lock_active
from shared.contracts.topics import Topics
from shared.errors import Conflict, NotFound
from shared.ids import time_ordered_id
from shared.kafka.messages import PartitionCounts
from shared.postgres import audit

KIND = "cannot_link"


async def keep_profiles_apart(
    tx: AsyncConnection,
    ids: Sequence[str],
    *,
    why: str,
    who: audit.Who,
    rules: Rules,
    topics: Topics,
    counts: PartitionCounts,
) -> None:
    """Two profiles are two people: nothing unites their strongest identifiers from now on.

    Raises NotFound, and Conflict when they are one profile.
    """
    locked = {one.id: one for one in (await lock_active(tx, ids)).values()}
    if len(locked) < 2:
        raise Conflict("these are one profile")
    both = [WorkingProfile(locked[id_], rules.traits) for id_ in sorted(locked)]
    one, other = (profile.strongest_key(rules.identity) for profile in both)
    keep_apart(both, one, other)
    await carry_out(
        tx,
        Apart(one=one, other=other),
        changed=both,
        moved={},
        told=[],
        rules=rules,
        topics=topics,
        counts=counts,
    )
    cause_id = str(time_ordered_id())
    at = await listing.business_time(tx)
    await cannot_links.insert(
        tx, [(one, other)], cause="hand", cause_id=cause_id, why=why, actor=who.name, at=at
    )
    profiles = [profile.id for profile in both]
    await audit.append(
        tx, who=who, kind=KIND, key=cause_id, action="add", after={"profiles": profiles, "why": why}
    )


async def remove_cannot_link(
    tx: AsyncConnection,
    link_id: str,
    *,
    who: audit.Who,
    rules: Rules,
    topics: Topics,
    counts: PartitionCounts,
) -> None:
    """Let touchpoints unite the two again. Raises NotFound."""
    link = await cannot_links.find(tx, link_id)
    at = await listing.business_time(tx)
    if link is None:
        raise NotFound(f"there is no pair {link_id} that is kept apart")
    locked = {one.id: one for one in (await lock_active(tx, list(link.profiles))).values()}
    if not await cannot_links.remove(tx, link_id, at=at, by=who.name):
        raise NotFound(f"there is no pair {link_id} that is kept apart")
    one, other = (f"{key.type}\0{key.value}" for key in (link.one, link.other))
    both = [WorkingProfile(stored, rules.traits) for stored in locked.values()]
    forget_apart(both, one, other)
    await carry_out(
        tx,
        Apart(one=one, other=other, apart=False),
        changed=both,
        moved={},
        told=[],
        rules=rules,
        topics=topics,
        counts=counts,
    )
    await audit.append(
        tx,
        who=who,
        kind=KIND,
        key=link_id,
        action="remove",
        before={"profiles": list(link.profiles), "why": link.why},
    )
