"""Pairs of identifiers that a person said are two people's.

The rule itself is kept with each identifier inside its profile, where the fold reads it; these
rows say who set it, why, and let it be listed and taken back. Both change in one transaction.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.profile.storage.identifiers import identifier_id
from shared.contracts.touchpoint import Identifier
from shared.ids import time_ordered_id

Cause = Literal["undo", "split", "hand"]

_INSERT = text(
    """
    INSERT INTO cannot_link (id, one, other, cause, cause_id, why, actor, at)
    SELECT id, least(one, other), greatest(one, other), :cause, CAST(:cause_id AS uuid), :why,
           :actor, :at
      FROM unnest(CAST(:ids AS uuid[]), CAST(:ones AS uuid[]), CAST(:others AS uuid[]))
           AS new (id, one, other)
    ON CONFLICT DO NOTHING
    """
)


async def insert(
    tx: AsyncConnection,
    pairs: Sequence[tuple[str, str]],
    *,
    cause: Cause,
    cause_id: str,
    why: str,
    actor: str,
    at: datetime,
) -> None:
    """Log pairs of identifiers (`type NUL value`); those that are in force already stay as they
    are."""
    await tx.execute(
        _INSERT,
        {
            "ids": [str(time_ordered_id()) for _ in pairs],
            "ones": [identifier_id(one) for one, _ in pairs],
            "others": [identifier_id(other) for _, other in pairs],
            "cause": cause,
            "cause_id": cause_id,
            "why": why,
            "actor": actor,
            "at": at,
        },
    )


class CannotLink(NamedTuple):
    """A pair in force; `profiles` are those that the identifiers belong to now."""

    id: str
    one: Identifier
    other: Identifier
    profiles: tuple[str, str]
    cause: Cause
    cause_id: str
    why: str
    actor: str
    at: datetime


_COLUMNS = """
    SELECT c.id, a.type AS one_type, a.value AS one_value, b.type AS other_type,
           b.value AS other_value, a.profile_id AS one_profile, b.profile_id AS other_profile,
           c.cause, c.cause_id, c.why, c.actor, c.at
      FROM cannot_link AS c
      JOIN identifier AS a ON a.id = c.one
      JOIN identifier AS b ON b.id = c.other
     WHERE c.removed_at IS NULL
"""
_PAGE = text(
    f"""
    {_COLUMNS} AND c.id > CAST(:after AS uuid)
       AND (CAST(:profile_id AS uuid) IS NULL
            OR a.profile_id = CAST(:profile_id AS uuid) OR b.profile_id = CAST(:profile_id AS uuid))
     ORDER BY c.id LIMIT :limit
    """
)
_FIND = text(f"{_COLUMNS} AND c.id = CAST(:id AS uuid)")
_REMOVE = text(
    """
    UPDATE cannot_link SET removed_at = :at, removed_by = :by
     WHERE id = CAST(:id AS uuid) AND removed_at IS NULL
    """
)


async def page(
    tx: AsyncConnection, *, profile_id: str | None, after: str, limit: int
) -> list[CannotLink]:
    """At most `limit` pairs in force whose id is greater than `after`, of one active profile when
    given."""
    rows = await tx.execute(_PAGE, {"profile_id": profile_id, "after": after, "limit": limit})
    return [_read(row) for row in rows]


async def find(tx: AsyncConnection, id_: str) -> CannotLink | None:
    """One pair that is in force."""
    row = (await tx.execute(_FIND, {"id": id_})).one_or_none()
    return None if row is None else _read(row)


async def remove(tx: AsyncConnection, id_: str, *, at: datetime, by: str) -> bool:
    """Take a pair out of force; False when it was not in force any more."""
    result = await tx.execute(_REMOVE, {"id": id_, "at": at, "by": by})
    return result.rowcount == 1


def _read(row: Sequence[object]) -> CannotLink:
    id_, one_type, one_value, other_type, other_value, a, b, cause, cause_id, why, actor, at = row
    return CannotLink(
        str(id_),
        Identifier(str(one_type), str(one_value)),
        Identifier(str(other_type), str(other_value)),
        (str(a), str(b)),
        cause,  # type: ignore[arg-type]  # the table checks it
        str(cause_id),
        str(why),
        str(actor),
        at,  # type: ignore[arg-type]  # a timestamp of the driver
    )
