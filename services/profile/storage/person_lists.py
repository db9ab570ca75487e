"""What stands about a person in lists of pairs: suggested links, and who is kept apart."""

from collections.abc import Collection
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.contracts.times import rfc3339

_SUGGESTIONS = text(
    """
    SELECT id::text, profile_a::text, profile_b::text, score, status, found_at
      FROM link_suggestion
     WHERE profile_a = CAST(:id AS uuid) OR profile_b = CAST(:id AS uuid) ORDER BY id LIMIT 1000
    """
)
_APART = text(
    """
    SELECT id::text, cause, why, at FROM cannot_link
     WHERE removed_at IS NULL
       AND (one = ANY (CAST(:ids AS uuid[])) OR other = ANY (CAST(:ids AS uuid[])))
     ORDER BY id LIMIT 1000
    """
)


async def suggestions(tx: AsyncConnection, profile_id: str) -> list[dict[str, Any]]:
    """Links of the profile that were suggested: the other one by its id alone, for it is somebody
    else; at most 1000."""
    rows = await tx.execute(_SUGGESTIONS, {"id": profile_id})
    return [row._asdict() | {"found_at": rfc3339(row.found_at)} for row in rows]


async def kept_apart(tx: AsyncConnection, identifiers: Collection[str]) -> list[dict[str, Any]]:
    """Pairs of identifiers (by id) in force that one of these is in; at most 1000."""
    rows = await tx.execute(_APART, {"ids": list(identifiers)})
    return [row._asdict() | {"at": rfc3339(row.at)} for row in rows]
