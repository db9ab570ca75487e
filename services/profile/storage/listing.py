"""Profiles in the order of their ids, a page at a time; and what time it is."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from services.profile.domain.profile import StoredProfile, decode_state

_PAGE = text(
    """
    SELECT id, status, merged_into, seq, n_merges, state FROM profile
     WHERE status = 'active' AND id > :after ORDER BY id LIMIT :limit
    """
)
_PAGE_OF_ALL = text(
    """
    SELECT id, status, merged_into, seq, n_merges, state FROM profile
     WHERE id > :after AND id <= :until ORDER BY id LIMIT :limit
    """
)
_NOW = text("SELECT clock.now()")


async def page(tx: AsyncConnection, *, after: UUID, limit: int) -> list[StoredProfile]:
    """At most `limit` active profiles whose id is greater than `after`."""
    return [_stored(row) for row in await tx.execute(_PAGE, {"after": after, "limit": limit})]


async def page_of_all(
    tx: AsyncConnection, *, after: UUID, until: UUID, limit: int
) -> list[StoredProfile]:
    """At most `limit` profiles, merged ones too, with an id greater than `after`, up to `until`."""
    values = {"after": after, "until": until, "limit": limit}
    return [_stored(row) for row in await tx.execute(_PAGE_OF_ALL, values)]


async def business_time(tx: AsyncConnection) -> datetime:
    """The instant by the clock that the whole deployment shares and a test may shift."""
    now: datetime = (await tx.execute(_NOW)).scalar_one()
    return now


def _stored(row: Row[Any]) -> StoredProfile:
    return StoredProfile(
        id=str(row.id),
        status=row.status,
        merged_into=row.merged_into and str(row.merged_into),
        seq=row.seq,
        n_merges=row.n_merges,
        state=decode_state(row.state),
    )
