"""What of the tracking plan is in force; how it is edited is in `shared.postgres.drafts`."""

from typing import Any, NamedTuple

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

KIND = "event_schema"
"""The name of the tables, and of what is audited."""

HEADS = text("SELECT key, live_version FROM event_schema WHERE status = 'live'")

IN_FORCE = text("""
SELECT published.key, published.version, published.version = event_schema.live_version AS newest,
       COALESCE(live.body ->> 'version_policy' = 'pin', false) AS pinned,
       (published.body -> 'schema')::text AS schema
  FROM event_schema
  JOIN event_schema_version live ON live.key = event_schema.key AND live.version = live_version
  JOIN event_schema_version published ON published.key = event_schema.key
 WHERE status = 'live'
   AND (published.version = live_version OR live.body ->> 'version_policy' = 'pin')
 ORDER BY published.key, published.version
""")

COUNT = text("SELECT count(*) FROM event_schema")


class InForce(NamedTuple):
    """A published version that events may be held against."""

    key: str
    version: int
    newest: bool
    pinned: bool
    schema: dict[str, Any]


async def heads(tx: AsyncConnection) -> dict[str, int]:
    """The newest published version of every event type."""
    return {row.key: row.live_version for row in await tx.execute(HEADS)}


async def in_force(tx: AsyncConnection) -> list[InForce]:
    """The newest version of every type; of types whose policy is `pin` the older ones too."""
    return [
        InForce(row.key, row.version, row.newest, row.pinned, orjson.loads(row.schema))
        for row in await tx.execute(IN_FORCE)
    ]


async def count(tx: AsyncConnection) -> int:
    """How many event types have a schema or a draft of one."""
    return int((await tx.execute(COUNT)).scalar_one())
