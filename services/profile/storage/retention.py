"""What is old enough to go, a page at a time, in the order of ids."""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.profile.domain.profile import decode_state


class Old(NamedTuple):
    """A touchpoint that happened before the instant that was asked for."""

    id: str
    body: bytes


class Unseen(NamedTuple):
    """A profile that nothing was heard of since, and its identifiers (`type NUL value`)."""

    id: str
    keys: list[str]


_LAST = text(
    """
    SELECT id::text FROM (
        SELECT id FROM touchpoint WHERE id > CAST(:after AS uuid) ORDER BY id LIMIT :limit) AS page
     ORDER BY page.id DESC LIMIT 1
    """
)
_OLD = text(
    """
    SELECT id::text, body FROM touchpoint
     WHERE id > CAST(:after AS uuid) AND id <= CAST(:last AS uuid)
       AND occurred_at < :before AND reason IS NULL
    """
)
_THIN = text(
    """
    UPDATE touchpoint SET body = new.body, reason = 'expired'
      FROM unnest(CAST(:ids AS uuid[]), CAST(:bodies AS bytea[])) AS new (id, body)
     WHERE touchpoint.id = new.id AND touchpoint.id = ANY (CAST(:ids AS uuid[]))
       AND touchpoint.reason IS NULL
    """
)
_UNSEEN = text(
    """
    SELECT id::text, state FROM profile
     WHERE id > CAST(:after AS uuid) AND status = 'active' AND last_seen_at < :before
     ORDER BY id LIMIT :limit
    """
)


async def old_touchpoints(
    tx: AsyncConnection, *, after: str, before: datetime, limit: int
) -> tuple[list[Old], str | None]:
    """Of the next `limit` touchpoints those that happened before an instant and are whole, and the
    id of the last one that was looked at; None at the end."""
    last = (await tx.execute(_LAST, {"after": after, "limit": limit})).scalar()
    if last is None:
        return [], None
    rows = await tx.execute(_OLD, {"after": after, "last": last, "before": before})
    return [Old(row.id, row.body) for row in rows], last


async def thin(tx: AsyncConnection, bodies: Mapping[str, bytes]) -> int:
    """Replace the bodies of touchpoints whose time is over; how many were whole still."""
    values = {"ids": list(bodies), "bodies": list(bodies.values())}
    return (await tx.execute(_THIN, values)).rowcount


async def unseen(tx: AsyncConnection, *, after: str, before: datetime, limit: int) -> list[Unseen]:
    """At most `limit` active profiles behind `after` that were last seen before an instant."""
    values = {"after": after, "before": before, "limit": limit}
    return [
        Unseen(row.id, list(decode_state(row.state).held))
        for row in await tx.execute(_UNSEEN, values)
    ]
