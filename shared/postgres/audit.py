"""Writes and reads the audit log. `append` belongs into the transaction of the write it records.

Never put a secret or its hash into `before` or `after`.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection


class Who(NamedTuple):
    """Who writes: the id of the token and the name it bears."""

    id: str
    name: str


class AuditEntry(NamedTuple):
    """One write. `before` is None for a creation, `after` for a deletion."""

    id: int
    at: datetime
    who: str
    who_name: str
    kind: str
    key: str
    action: str
    before: Any
    after: Any


APPEND = text("""
INSERT INTO audit_log (who, who_name, kind, key, action, before, after)
VALUES (:who, :who_name, :kind, :key, :action, CAST(:before AS jsonb), CAST(:after AS jsonb))
""")

APPEND_EACH = text("""
INSERT INTO audit_log (who, who_name, kind, key, action, after)
SELECT :who, :who_name, :kind, key, :action, CAST(after AS jsonb)
  FROM unnest(CAST(:keys AS text[]), CAST(:afters AS text[])) AS each (key, after)
""")

NEWEST_FIRST = text("""
SELECT id, at, who, who_name, kind, key, action, before, after FROM audit_log
WHERE (CAST(:kind AS text) IS NULL OR kind = :kind)
  AND (CAST(:key AS text) IS NULL OR key = :key)
  AND (CAST(:older_than AS bigint) IS NULL OR id < :older_than)
ORDER BY id DESC LIMIT :limit
""")


async def append(
    connection: AsyncConnection,
    *,
    who: Who,
    kind: str,
    key: str,
    action: str,
    before: Any = None,
    after: Any = None,
) -> None:
    """Record a write in the caller's transaction.

    `kind` and `key` name the thing (`rule`, `welcome`), `action` what was done (`publish`);
    `before` and `after` are what JSON can hold.
    """
    values = {
        "who": who.id,
        "who_name": who.name,
        "kind": kind,
        "key": key,
        "action": action,
        "before": _json(before),
        "after": _json(after),
    }
    await connection.execute(APPEND, values)


async def append_each(
    connection: AsyncConnection,
    *,
    who: Who,
    kind: str,
    action: str,
    after: Mapping[str, Any],
) -> None:
    """Record the same action on several things of one kind: one entry for each key of `after`."""
    values = {
        "who": who.id,
        "who_name": who.name,
        "kind": kind,
        "action": action,
        "keys": list(after),
        "afters": [_json(value) for value in after.values()],
    }
    await connection.execute(APPEND_EACH, values)


async def entries(
    connection: AsyncConnection,
    *,
    kind: str | None,
    key: str | None,
    older_than: int | None,
    limit: int,
) -> Sequence[AuditEntry]:
    """The newest entries first, of one kind and key when given, below the id `older_than`."""
    rows = await connection.execute(
        NEWEST_FIRST, {"kind": kind, "key": key, "older_than": older_than, "limit": limit}
    )
    return [AuditEntry(*row) for row in rows]


def _json(value: Any) -> str | None:
    """JSON text; dates and ids become text."""
    return None if value is None else orjson.dumps(value, default=str).decode()
