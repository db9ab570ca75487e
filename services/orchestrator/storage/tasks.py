"""Tasks: what people have to do for customers, one row for each published action of kind task.

Only who holds a task's lease may end it; a lease that is over is read as such, nothing has to
happen then. Leases are real time, the other instants the business clock's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from sqlalchemy import Row, TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.orchestrator.domain.effects import Handover
from shared.postgres.transaction import Tx

FIRST = (float("inf"), datetime.fromisoformat("0001-01-01T00:00:00+00:00"), UUID(int=0))
"""Before the first task of a list."""

_INSERT = text(
    """
    INSERT INTO task (action_id, profile_id, channel, queue, status, priority, due_at, expires_at)
    SELECT action_id, profile_id, channel, queue, 'open', priority, due_at, expires_at
      FROM unnest(CAST(:ids AS uuid[]), CAST(:profiles AS uuid[]), CAST(:channels AS text[]),
                  CAST(:queues AS text[]), CAST(:priorities AS double precision[]),
                  CAST(:due AS timestamptz[]), CAST(:expires AS timestamptz[]))
           AS t (action_id, profile_id, channel, queue, priority, due_at, expires_at)
        ON CONFLICT (action_id) DO NOTHING
    """
)
_ENDED = """
    SELECT t.action_id, g.reason,
           CASE WHEN t.status = 'claimed' AND t.lease_until <= clock_timestamp()
                THEN 'open' ELSE t.status END AS was
      FROM task AS t JOIN unnest(CAST(:ids AS uuid[]), CAST(:reasons AS text[]))
                          AS g (action_id, reason) USING (action_id)
     ORDER BY t.action_id FOR UPDATE OF t
"""
_WITHDRAW = text(
    f"""
    WITH found AS MATERIALIZED ({_ENDED}), ended AS (
        UPDATE task AS t
           SET status = 'withdrawn', reason = found.reason, ended_at = (SELECT clock.now())
          FROM found
         WHERE t.action_id = found.action_id AND t.status IN ('open', 'claimed')
    )
    SELECT action_id, was FROM found
    """  # noqa: S608 - constants
)
_EXPIRE = text(
    """
    UPDATE task SET status = 'expired', ended_at = (SELECT clock.now())
     WHERE action_id = ANY(CAST(:ids AS uuid[]))
    """
)
_NOW = "(SELECT clock.now())"
_REAL = "(SELECT clock_timestamp())"
_SHOWN = f"""
    CASE WHEN t.status NOT IN ('open', 'claimed') THEN t.status
         WHEN t.status = 'claimed' AND t.lease_until > {_REAL} THEN 'claimed'
         WHEN t.expires_at <= {_NOW} THEN 'expired' ELSE 'open' END
"""
# Whether the rule or the journey writes its queues out: a name that was rendered may be personal.
# Nobody knows of one whose version is not there.
_WRITTEN = """
    EXISTS (
        SELECT FROM (
            SELECT body FROM rule_version WHERE key = a.rule AND version = a.version
             UNION ALL
            SELECT body FROM journey_version
             WHERE key = split_part(a.rule, '/', 1) AND a.rule LIKE '%/%' AND version = a.version
        ) AS v
         WHERE NOT v.body @? '$.**.queue ? (@ like_regex "[{]")'
    )
"""
_COLUMNS = f"""
    t.action_id, t.profile_id, t.channel, t.queue, {_SHOWN} AS status, t.priority, t.due_at,
    t.expires_at, t.holder, t.holder_name, t.lease_until,
    t.lease_until - {_REAL} AS lease_left, t.outcome, t.note, t.reason, t.ended_at,
    {_WRITTEN} AS is_queue_written
"""
_ONE = text(
    f"""
    SELECT {_COLUMNS}, a.body FROM task AS t JOIN action AS a USING (action_id)
     WHERE t.action_id = :id
    """  # noqa: S608 - constants
)
_LOCK = text("SELECT FROM task WHERE action_id = :id FOR UPDATE")
_LOCK_SEVERAL = text(
    f"""
    SELECT {_COLUMNS}, a.body FROM task AS t JOIN action AS a USING (action_id)
     WHERE t.action_id = ANY(CAST(:ids AS uuid[])) ORDER BY t.action_id FOR UPDATE OF t
    """  # noqa: S608 - constants
)
_PAGE = text(
    f"""
    SELECT {_COLUMNS}, a.body FROM task AS t JOIN action AS a USING (action_id)
     WHERE (-t.priority, t.due_at, t.action_id)
           > (-CAST(:priority AS double precision), CAST(:due AS timestamptz), CAST(:id AS uuid))
       AND (CAST(:profile_ids AS uuid[]) IS NULL OR t.profile_id = ANY(:profile_ids))
       AND (CAST(:channel AS text) IS NULL OR t.channel = :channel)
       AND (CAST(:queue AS text) IS NULL OR t.queue = :queue)
       AND (CAST(:queue AS text) IS NULL OR CAST(:rendered AS boolean) OR {_WRITTEN})
       AND (CAST(:status AS text) IS NULL OR {_SHOWN} = :status)
       /* only */
     ORDER BY -t.priority, t.due_at, t.action_id LIMIT :limit
    """  # noqa: S608 - constants
)
_TO_DO = ("open", "claimed")
# Said plainly as well, for the index that holds nothing else: most tasks are over.
_PAGE_TO_DO = text(_PAGE.text.replace("/* only */", "AND t.status IN ('open', 'claimed')"))
_FREE = f"""
    t.expires_at > {_NOW}
    AND (t.status = 'open' OR (t.status = 'claimed' AND t.lease_until <= {_REAL}))
"""
# Whoever has a task when its time is up may finish it, but not have it longer and longer.
_HOLDS = f"t.status = 'claimed' AND t.lease_until > {_REAL}"
_CLAIM = text(
    f"""
    UPDATE task AS t
       SET status = 'claimed', holder = :holder, holder_name = :name,
           lease_until = CASE WHEN {_HOLDS}
               THEN greatest(t.lease_until, least({_REAL} + CAST(:lease AS interval),
                                                  {_REAL} + (t.expires_at - {_NOW})))
               ELSE {_REAL} + CAST(:lease AS interval) END
     WHERE t.action_id = :id AND ({_FREE} OR (t.holder = :holder AND {_HOLDS}))
    RETURNING t.action_id
    """  # noqa: S608 - constants
)
_NEXT = text(
    f"""
    SELECT t.action_id FROM task AS t
     WHERE t.channel = :channel AND (CAST(:queue AS text) IS NULL OR t.queue = :queue)
       AND t.status IN ('open', 'claimed') AND {_FREE}
     ORDER BY -t.priority, t.due_at, t.action_id LIMIT 1 FOR UPDATE SKIP LOCKED
    """  # noqa: S608 - constants
)
_RELEASE = text(
    """
    UPDATE task SET status = 'open', holder = NULL, holder_name = NULL, lease_until = NULL
     WHERE action_id = :id
    """
)
_COMPLETE = text(
    f"""
    UPDATE task SET status = :status, outcome = :outcome, note = :note, holder = :holder,
                    holder_name = :name, lease_until = NULL,
                    ended_at = CASE WHEN status = :status AND ended_at IS NOT NULL
                                    THEN ended_at ELSE {_NOW} END
     WHERE action_id = :id
    """  # noqa: S608 - constants
)


@dataclass(frozen=True, slots=True)
class StoredTask:
    """A task as it stands now; `message` is what its action says, for who may see it, and so is
    `queue` when it is rendered and not written as it is."""

    action_id: UUID
    profile_id: UUID
    channel: str
    queue: str
    status: str
    priority: float
    due_at: datetime
    expires_at: datetime
    holder: str | None
    holder_name: str | None
    lease_until: datetime | None
    lease_left: timedelta | None
    outcome: str | None
    note: str | None
    reason: str | None
    ended_at: datetime | None
    is_queue_written: bool
    message: Mapping[str, Any]


class Holder(NamedTuple):
    """Who works on a task: the token they come with and whom they say they are."""

    id: str
    name: str


class Wanted(NamedTuple):
    """Which tasks of a list are asked for; None is any. `rendered`: also by the name of a queue
    that was rendered for the customer."""

    profile_ids: Sequence[UUID] | None = None
    channel: str | None = None
    queue: str | None = None
    status: str | None = None
    rendered: bool = True


async def insert(tx: Tx, rows: Sequence[Handover]) -> None:
    """Put published tasks into their queues."""
    if not rows:
        return
    await tx.execute(
        _INSERT,
        {
            "ids": [row.action_id for row in rows],
            "profiles": [row.profile_id for row in rows],
            "channels": [row.channel for row in rows],
            "queues": [row.queue for row in rows],
            "priorities": [row.priority for row in rows],
            "due": [row.due_at for row in rows],
            "expires": [row.expires_at for row in rows],
        },
    )


async def withdraw(tx: Tx, reasons: Mapping[UUID, str]) -> dict[UUID, str]:
    """Take tasks out of their queues, also from whoever holds them; returns how each stood."""
    if not reasons:
        return {}
    values = {"ids": list(reasons), "reasons": list(reasons.values())}
    return {row.action_id: row.was for row in await tx.execute(_WITHDRAW, values)}


async def expire(tx: AsyncConnection, ids: Sequence[UUID]) -> None:
    """These were not done in time; they are locked."""
    if ids:
        await tx.execute(_EXPIRE, {"ids": list(ids)})


async def find(tx: AsyncConnection, action_id: UUID, *, lock: bool = False) -> StoredTask | None:
    """One task, locked if wanted."""
    if lock:
        await tx.execute(_LOCK, {"id": action_id})
    row = (await tx.execute(_ONE, {"id": action_id})).one_or_none()
    return None if row is None else _task(row)


async def lock(tx: AsyncConnection, ids: Sequence[UUID]) -> dict[UUID, StoredTask]:
    """These tasks, locked."""
    rows = await tx.execute(_LOCK_SEVERAL, {"ids": list(ids)})
    return {row.action_id: _task(row) for row in rows}


async def page(
    tx: AsyncConnection, wanted: Wanted, *, after: tuple[float, datetime, UUID], limit: int
) -> list[StoredTask]:
    """At most `limit` tasks, the most valuable first and of these the oldest, behind `after`."""
    values = wanted._asdict() | {
        "priority": after[0],
        "due": after[1],
        "id": after[2],
        "limit": limit,
    }
    return [_task(row) for row in await tx.execute(page_statement(wanted), values)]


def page_statement(wanted: Wanted) -> TextClause:
    """How these are found."""
    return _PAGE_TO_DO if wanted.status in _TO_DO else _PAGE


async def claim(tx: AsyncConnection, action_id: UUID, holder: Holder, lease: timedelta) -> bool:
    """Give the task to the holder, or more time to who has it already; False if they may not."""
    given = {"id": action_id, "holder": holder.id, "name": holder.name, "lease": lease}
    return (await tx.execute(_CLAIM, given)).one_or_none() is not None


async def next_free(tx: AsyncConnection, channel: str, queue: str | None) -> UUID | None:
    """The best task of a queue that nobody holds, locked; those others are just taking are passed
    over. Without a queue: of all queues of the channel."""
    found: UUID | None = (
        await tx.execute(_NEXT, {"channel": channel, "queue": queue})
    ).scalar_one_or_none()
    return found


async def release(tx: AsyncConnection, action_id: UUID) -> None:
    """Put a locked task back into its queue."""
    await tx.execute(_RELEASE, {"id": action_id})


async def complete(
    tx: AsyncConnection,
    action_id: UUID,
    holder: Holder,
    *,
    status: str,
    outcome: str,
    note: str | None,
) -> None:
    """Note what came of a locked task; `status` is what it has from now on."""
    given = {"id": action_id, "status": status, "outcome": outcome, "note": note}
    await tx.execute(_COMPLETE, given | {"holder": holder.id, "name": holder.name})


def _task(row: Row[Any]) -> StoredTask:
    columns = row._asdict()
    message = orjson.loads(columns.pop("body"))
    return StoredTask(**columns, message=message)
