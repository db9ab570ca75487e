"""When scheduled rules go to their audience next. Due times are the business clock's."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_PUT = text(
    """
    INSERT INTO rule_schedule (rule, version, due_at) VALUES (:rule, :version, :due_at)
    ON CONFLICT (rule) DO UPDATE SET version = excluded.version, due_at = excluded.due_at
    """
)
_REMOVE = text("DELETE FROM rule_schedule WHERE rule = :rule")
_DUE = text(
    """
    SELECT s.rule, s.version, s.due_at, v.body::text AS body
      FROM rule_schedule AS s JOIN rule_version AS v ON v.key = s.rule AND v.version = s.version
     WHERE s.due_at <= (SELECT clock.now()) ORDER BY s.due_at, s.rule LIMIT :limit
       FOR UPDATE OF s SKIP LOCKED
    """
)
_POSTPONE = text(
    """
    UPDATE rule_schedule SET due_at = (SELECT clock.now()) + interval '5 minutes'
     WHERE rule = (SELECT rule FROM rule_schedule WHERE due_at <= (SELECT clock.now())
                    ORDER BY due_at, rule LIMIT 1)
    """
)


@dataclass(frozen=True, slots=True)
class Due:
    """An occurrence that has come, with the body of the version that it is of."""

    rule: str
    version: int
    due_at: datetime
    body: dict[str, Any]


async def put(tx: AsyncConnection, rule: str, version: int, due_at: datetime) -> None:
    """Keep when the rule's schedule occurs next."""
    await tx.execute(_PUT, {"rule": rule, "version": version, "due_at": due_at})


async def remove(tx: AsyncConnection, rule: str) -> None:
    """The rule goes to nobody any more."""
    await tx.execute(_REMOVE, {"rule": rule})


async def lock_due(tx: AsyncConnection, limit: int) -> list[Due]:
    """Occurrences that have come, the earliest first; nobody else has them until the end of the
    transaction."""
    return [
        Due(row.rule, row.version, row.due_at, orjson.loads(row.body))
        for row in await tx.execute(_DUE, {"limit": limit})
    ]


async def postpone_first(tx: AsyncConnection) -> None:
    """Put the first due occurrence off by five minutes: it cannot be published, and others wait
    behind it."""
    await tx.execute(_POSTPONE)
