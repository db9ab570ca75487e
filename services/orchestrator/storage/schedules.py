"""When scheduled rules and journeys go to their audience next. Due times are the business clock's.

Both kinds have the same table (`rule_schedule`, `journey_schedule`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.orchestrator.storage.draft_kind import Kind

SCHEDULED = (Kind.RULE, Kind.JOURNEY)
"""The kinds that can have a schedule."""


def _statements(sql: str) -> Mapping[Kind, TextClause]:
    """The statement for each kind; its placeholders stand for tables and columns, never values."""
    return {kind: text(sql.format(kind=kind.value)) for kind in SCHEDULED}


_PUT = _statements(
    """
    INSERT INTO {kind}_schedule ({kind}, version, due_at) VALUES (:key, :version, :due_at)
    ON CONFLICT ({kind}) DO UPDATE SET version = excluded.version, due_at = excluded.due_at
    """
)
_REMOVE = _statements("DELETE FROM {kind}_schedule WHERE {kind} = :key")
_NEXT = _statements("SELECT due_at FROM {kind}_schedule WHERE {kind} = :key")
_DUE = _statements(
    """
    SELECT s.{kind} AS key, s.version, s.due_at, v.body::text AS body
      FROM {kind}_schedule AS s
      JOIN {kind}_version AS v ON v.key = s.{kind} AND v.version = s.version
     WHERE s.due_at <= (SELECT clock.now()) ORDER BY s.due_at, s.{kind} LIMIT :limit
       FOR UPDATE OF s SKIP LOCKED
    """
)
_POSTPONE = _statements(
    """
    UPDATE {kind}_schedule SET due_at = (SELECT clock.now()) + interval '5 minutes'
     WHERE {kind} = :key
    """
)


@dataclass(frozen=True, slots=True)
class Due:
    """An occurrence that has come, with the body of the version that it is of."""

    kind: Kind
    key: str
    version: int
    due_at: datetime
    body: dict[str, Any]


async def put(tx: AsyncConnection, kind: Kind, key: str, version: int, due_at: datetime) -> None:
    """Keep when the schedule occurs next."""
    await tx.execute(_PUT[kind], {"key": key, "version": version, "due_at": due_at})


async def remove(tx: AsyncConnection, kind: Kind, key: str) -> None:
    """It goes to nobody any more."""
    await tx.execute(_REMOVE[kind], {"key": key})


async def next_due(tx: AsyncConnection, kind: Kind, key: str) -> datetime | None:
    """When the schedule occurs next; None when it does not."""
    found: datetime | None = (await tx.execute(_NEXT[kind], {"key": key})).scalar_one_or_none()
    return found


async def lock_due(tx: AsyncConnection, limit: int) -> list[Due]:
    """Occurrences that have come, at most `limit`, the earliest first; nobody else has them until
    the end of the transaction."""
    found = [
        Due(kind, row.key, row.version, row.due_at, orjson.loads(row.body))
        for kind in SCHEDULED
        for row in await tx.execute(_DUE[kind], {"limit": limit})
    ]
    return sorted(found, key=lambda due: (due.due_at, due.kind, due.key))[:limit]


async def postpone_first(tx: AsyncConnection) -> None:
    """Put the first due occurrence off by five minutes: it cannot be published, and others wait
    behind it."""
    for due in await lock_due(tx, 1):
        await tx.execute(_POSTPONE[due.kind], {"key": due.key})
