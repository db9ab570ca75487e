"""When time alone can change what a profile is a member of: one row for each that it can change.

Found without locks; whoever acts on one locks the profile first and looks at it again.
"""

from collections.abc import Sequence

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.profile.domain.instants import moment_of
from services.profile.domain.working_profile import WorkingProfile

_PUT = text(
    """
    INSERT INTO deadline (profile_id, due_at)
    SELECT * FROM unnest(CAST(:ids AS uuid[]), CAST(:due AS timestamptz[]))
    ON CONFLICT (profile_id) DO UPDATE SET due_at = excluded.due_at
    """
)
_DELETE = text("DELETE FROM deadline WHERE profile_id = ANY (CAST(:ids AS uuid[]))")
_DUE = text(
    """
    SELECT profile_id::text FROM deadline
     WHERE due_at <= (SELECT clock.now()) ORDER BY due_at LIMIT :limit
    """
)
_WAITING = text("SELECT count(*) FROM deadline WHERE due_at <= (SELECT clock.now())")


async def write(tx: AsyncConnection, profiles: Sequence[WorkingProfile]) -> None:
    """Note the due instants that moved, of profiles that are locked."""
    moved = [one for one in profiles if one.standing.due != one.due_before]
    set_, gone = (
        [one for one in moved if one.standing.due is not None],
        [one.id for one in moved if one.standing.due is None],
    )
    if set_:
        due = [moment_of(one.standing.due or 0) for one in set_]
        await tx.execute(_PUT, {"ids": [one.id for one in set_], "due": due})
    if gone:
        await tx.execute(_DELETE, {"ids": gone})


async def due(tx: AsyncConnection, limit: int) -> list[str]:
    """The profiles that are due, the longest due first."""
    return [row[0] for row in await tx.execute(_DUE, {"limit": limit})]


async def remove(tx: AsyncConnection, ids: Sequence[str]) -> None:
    """Forget about profiles that are not there any more."""
    if ids:
        await tx.execute(_DELETE, {"ids": ids})


_POSTPONE = text(
    """
    UPDATE deadline SET due_at = (SELECT clock.now()) + interval '5 minutes'
     WHERE profile_id = (SELECT profile_id FROM deadline ORDER BY due_at LIMIT 1)
    """
)


async def postpone_first(tx: AsyncConnection) -> None:
    """Let the first due profile come round again in five minutes."""
    await tx.execute(_POSTPONE)


async def overdue(tx: AsyncConnection) -> int:
    """How many are due."""
    count: int = (await tx.execute(_WAITING)).scalar_one()
    return count
