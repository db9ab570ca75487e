"""Two batches that make the rows of the same groups in opposite order do not wait in a circle."""

import asyncio

from sqlalchemy.ext.asyncio import AsyncEngine

from services.profile.domain.group_call import GroupCall
from services.profile.domain.groups import Group, GroupSaying
from services.profile.domain.profile import ProfileState, StoredProfile
from services.profile.domain.standing import Standing
from services.profile.domain.survivorship import TraitPolicy
from services.profile.domain.working_profile import WorkingProfile
from services.profile.storage import groups
from shared.ids import time_ordered_id
from shared.postgres.transaction import transaction

AT = "2026-11-21T10:00:00.000Z"
HOMES = [Group("household", f"household_id\0{name}") for name in ("one", "other")]


def member_of(group: Group) -> WorkingProfile:
    state = ProfileState(AT, AT, {}, {})
    stored = StoredProfile(str(time_ordered_id()), "active", None, 0, 0, state)
    profile = WorkingProfile(stored, TraitPolicy())
    state.standing = Standing(household=group.id)
    profile.groups[group.id] = group
    return profile


async def join_one_and_hear_of_the_other(
    engine: AsyncEngine, joined: Group, heard: Group, met: asyncio.Barrier
) -> set[str]:
    calls = [GroupCall(heard, {"city": GroupSaying(AT, "t", b'"Gent"')})]
    async with transaction(engine) as tx:
        writing = asyncio.create_task(groups.write(tx, [member_of(joined)], calls))
        await asyncio.wait([writing], timeout=0.5)
        await met.wait()
        await writing
        return await groups.hear(tx, calls)


async def test_who_joins_one_and_hears_of_another_waits_in_no_circle(engine: AsyncEngine) -> None:
    met = asyncio.Barrier(2)
    one, other = await asyncio.gather(
        join_one_and_hear_of_the_other(engine, HOMES[0], HOMES[1], met),
        join_one_and_hear_of_the_other(engine, HOMES[1], HOMES[0], met),
    )
    assert (one, other) == ({HOMES[1].id}, {HOMES[0].id})
