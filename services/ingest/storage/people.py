"""Finds and erases failed events by what stands in their bytes, for people who are to be forgotten.

What is erased is remembered by the hash of its bytes, so that the same record is not kept when it
is published or replayed again and fails again.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection


class Kept(NamedTuple):
    """A failed event that may name somebody."""

    id: UUID
    channel: str
    source: str | None
    event_id: str | None
    event_type: str | None
    received_at: datetime
    reason: str
    message: str
    key: bytes | None
    raw: bytes | None
    headers: bytes


_PAGE = text(
    """
    SELECT id FROM failed_event WHERE id > :after ORDER BY id LIMIT :limit
    """
)
_MAYBE = text(
    """
    SELECT id, channel, source, event_id, event_type, received_at, reason, message, key, raw,
           headers
      FROM failed_event
     WHERE id > :after AND id <= :last
       AND EXISTS (
           SELECT FROM unnest(CAST(:needles AS text[])) AS n (needle)
            WHERE position(needle IN lower(
                  encode(coalesce(raw, ''), 'escape') || ' ' || encode(coalesce(key, ''), 'escape')
                  || ' ' || encode(headers, 'escape') || ' ' || message || ' '
                  || coalesce(event_id, ''))) > 0)
     ORDER BY id
    """
)
_ERASE = text(
    """
    WITH gone AS (
        DELETE FROM failed_event WHERE id = ANY (CAST(:ids AS uuid[])) RETURNING sha256, size
    ), noted AS (
        INSERT INTO erased_record (sha256)
        SELECT DISTINCT sha256 FROM gone WHERE size > 0 ORDER BY sha256
        ON CONFLICT DO NOTHING
    )
    SELECT count(*) FROM gone
    """
)
_ERASED = text("SELECT sha256 FROM erased_record WHERE sha256 = ANY (CAST(:hashes AS bytea[]))")


async def page(
    tx: AsyncConnection, *, after: UUID, limit: int, needles: Sequence[bytes]
) -> tuple[list[Kept], UUID | None]:
    """Of the next `limit` failed events those with a needle in them, and the last one looked at;
    None at the end."""
    ids = list((await tx.execute(_PAGE, {"after": after, "limit": limit})).scalars())
    if not ids:
        return [], None
    values = {"after": after, "last": ids[-1], "needles": [_escaped(one) for one in needles]}
    return [Kept(*row) for row in await tx.execute(_MAYBE, values)], ids[-1]


async def erase(tx: AsyncConnection, ids: Collection[UUID]) -> int:
    """Delete failed events and remember their bytes by hash; how many."""
    count: int = (await tx.execute(_ERASE, {"ids": sorted(ids)})).scalar_one()
    return count


async def erased(tx: AsyncConnection, hashes: Collection[bytes]) -> set[bytes]:
    """Those of the hashes (SHA-256) whose records were erased."""
    rows = await tx.execute(_ERASED, {"hashes": sorted(set(hashes))})
    return {bytes(one) for one in rows.scalars()}


def _escaped(needle: bytes) -> str:
    """As `encode(…, 'escape')` writes bytes: all but ASCII as octal numbers, `\\` doubled."""
    return "".join(
        "\\\\" if byte == 0x5C else chr(byte) if 0 < byte < 0x80 else f"\\{byte:03o}"
        for byte in needle
    )
