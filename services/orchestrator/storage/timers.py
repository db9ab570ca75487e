"""Due timers: those that nobody else is firing, deleted only for profiles whose rows this
transaction holds.

Business time comes from `clock.now()` alone.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

# Two pollers share the work: neither waits for the other, nor takes what the other has. What was
# fired stays in the index while anybody's snapshot is open: `since` passes over it.
_DUE = text(
    """
    SELECT due_at, id, profile_id::text FROM timer
     WHERE due_at <= (SELECT clock.now())
       AND due_at >= COALESCE(CAST(:since AS timestamptz), '-infinity')
     ORDER BY due_at, id LIMIT :limit FOR UPDATE SKIP LOCKED
    """
)
# A profile may have been merged since it was read: then the timer belongs to somebody who is not
# locked, and it stays for the next round.
_DELETE = text(
    """
    DELETE FROM timer AS t
     USING unnest(CAST(:due AS timestamptz[]), CAST(:ids AS bigint[])) AS d (due_at, id)
     WHERE t.due_at = d.due_at AND t.id = d.id AND t.profile_id = ANY(CAST(:locked AS uuid[]))
    RETURNING t.due_at, t.id, t.kind, t.profile_id::text, t.ref, t.gen
    """
)
_NOW = text("SELECT clock.now()")
# Counting a million rows every few seconds is not worth a figure that nobody reads to the digit.
_POSTPONE = text(
    """
    UPDATE timer SET due_at = (SELECT clock.now()) + interval '5 minutes'
     WHERE (due_at, id) = (SELECT due_at, id FROM timer WHERE due_at <= (SELECT clock.now())
                            ORDER BY due_at, id LIMIT 1)
    """
)
_COUNT = text(
    """
    SELECT CASE WHEN c.counted <= :exact THEN c.counted
                ELSE greatest(c.counted, (SELECT reltuples FROM pg_class
                                           WHERE oid = 'timer'::regclass))::bigint END AS waiting,
           (SELECT count(*) FROM (
               SELECT FROM timer WHERE due_at <= (SELECT clock.now())
                  AND due_at >= COALESCE(CAST(:since AS timestamptz), '-infinity')
                LIMIT :exact) AS late) AS overdue
      FROM (SELECT count(*) AS counted FROM (SELECT FROM timer LIMIT :exact + 1) AS first) AS c
    """
)
EXACT = 10_000


@dataclass(frozen=True, slots=True)
class Due:
    """A timer that should fire, by its key."""

    due_at: datetime
    id: int
    profile_id: str


@dataclass(frozen=True, slots=True)
class Fired:
    """A timer that was deleted and now has its effect."""

    due_at: datetime
    id: int
    kind: str
    profile_id: str
    ref: UUID
    gen: int


async def now(tx: AsyncConnection) -> datetime:
    """The present instant of the business clock."""
    instant: datetime = (await tx.execute(_NOW)).scalar_one()
    return instant


async def due(tx: AsyncConnection, limit: int, since: datetime | None = None) -> list[Due]:
    """Lock timers that are due and that nobody holds, the oldest first; with `since`, only those
    that were not due before it."""
    rows = await tx.execute(_DUE, {"limit": limit, "since": since})
    return [Due(row.due_at, row.id, row.profile_id) for row in rows]


async def delete(
    tx: AsyncConnection, timers: Sequence[Due], locked: Collection[str]
) -> list[Fired]:
    """Delete the timers of locked profiles; returns them in the order in which they were due."""
    rows = await tx.execute(
        _DELETE,
        {
            "due": [timer.due_at for timer in timers],
            "ids": [timer.id for timer in timers],
            "locked": list(locked),
        },
    )
    fired = [Fired(row.due_at, row.id, row.kind, row.profile_id, row.ref, row.gen) for row in rows]
    return sorted(fired, key=lambda timer: (timer.due_at, timer.id))


async def postpone_first(tx: AsyncConnection) -> None:
    """Put the first due timer off by five minutes: it cannot be fired, and others wait behind."""
    await tx.execute(_POSTPONE)


async def count(tx: AsyncConnection, since: datetime | None = None) -> tuple[int, int]:
    """How many timers wait (beyond EXACT an estimate), and how many of them are due, at most EXACT;
    with `since`, of those that were not due before it."""
    row = (await tx.execute(_COUNT, {"exact": EXACT, "since": since})).one()
    return row.waiting, row.overdue
