"""All active profiles in the order of their ids, a page at a time; and what time it is."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.profile.domain.profile import StoredProfile, decode_state

_PAGE = text(
    """
    SELECT id, status, seq, n_merges, state FROM profile
     WHERE status = 'active' AND id > :after ORDER BY id LIMIT :limit
    """
)
_NOW = text("SELECT clock.now()")


async def page(tx: AsyncConnection, *, after: UUID, limit: int) -> list[StoredProfile]:
    """At most `limit` active profiles whose id is greater than `after`."""
    return [
        StoredProfile(
            id=str(row.id),
            status=row.status,
            merged_into=None,
            seq=row.seq,
            n_merges=row.n_merges,
            state=decode_state(row.state),
        )
        for row in await tx.execute(_PAGE, {"after": after, "limit": limit})
    ]


async def business_time(tx: AsyncConnection) -> datetime:
    """The instant by the clock that the whole deployment shares and a test may shift."""
    now: datetime = (await tx.execute(_NOW)).scalar_one()
    return now
