"""Changes of what is in force, on their way to all profiles: one row each, page by page.

Whoever moves a job holds its row. The position moves in the transaction that also holds the
effect, so a job goes on where it stood, whoever dies.
"""

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from services.profile.domain.profile import StoredProfile, decode_state

_INSERT = text("INSERT INTO definition_job (epoch, kind, key) VALUES (:epoch, :kind, :key)")
_TAKE = text(
    """
    SELECT epoch, kind, key, status, position, examined, of, changed, created_at, finished_at,
           error
      FROM definition_job WHERE finished_at IS NULL
     ORDER BY epoch LIMIT 1 FOR UPDATE SKIP LOCKED
    """
)
_LATEST = text(
    """
    SELECT epoch, kind, key, status, position, examined, of, changed, created_at, finished_at,
           error
      FROM definition_job WHERE kind = :kind AND key = :key
     ORDER BY epoch DESC LIMIT 1
    """
)
_START = text(
    """
    UPDATE definition_job SET status = 'running', of = (SELECT count(*) FROM profile)
     WHERE epoch = :epoch
    """
)
_MOVE = text(
    """
    UPDATE definition_job
       SET position = CAST(:position AS uuid), examined = examined + :examined,
           changed = changed + :changed,
           status = CASE WHEN :done THEN 'done' ELSE status END,
           finished_at = CASE WHEN :done THEN clock_timestamp() END
     WHERE epoch = :epoch
    """
)
_FAIL = text(
    """
    UPDATE definition_job SET status = 'failed', error = :error, finished_at = clock_timestamp()
     WHERE epoch = :epoch AND finished_at IS NULL
    """
)
_PAGE = text(
    """
    SELECT id, status, seq, n_merges, state, facts IS NULL AS bare FROM profile
     WHERE id > :after ORDER BY id LIMIT :limit
    """
)


class Job(NamedTuple):
    """One change on its way. `of` is how many profiles there were at the start."""

    epoch: int
    kind: str
    key: str
    status: str
    position: UUID
    examined: int
    of: int | None
    changed: int
    created_at: datetime
    finished_at: datetime | None
    error: str | None


class Paged(NamedTuple):
    """A profile of a page; `bare`: its facts for conditions in SQL were never written."""

    stored: StoredProfile
    bare: bool


async def insert(tx: AsyncConnection, *, epoch: int, kind: str, key: str) -> None:
    """Let a change wait for a sweeper."""
    await tx.execute(_INSERT, {"epoch": epoch, "kind": kind, "key": key})


async def take(tx: AsyncConnection) -> Job | None:
    """The oldest open job that nobody else holds; None when there is none."""
    return _job((await tx.execute(_TAKE)).one_or_none())


async def latest(tx: AsyncConnection, kind: str, key: str) -> Job | None:
    """The last change of a definition."""
    return _job((await tx.execute(_LATEST, {"kind": kind, "key": key})).one_or_none())


async def start(tx: AsyncConnection, epoch: int) -> None:
    """Note that it runs, and over how many profiles."""
    await tx.execute(_START, {"epoch": epoch})


async def page(tx: AsyncConnection, *, after: UUID, limit: int) -> list[Paged]:
    """At most `limit` profiles behind `after`, by id, without locks."""
    return [
        Paged(
            StoredProfile(str(r.id), r.status, None, r.seq, r.n_merges, decode_state(r.state)),
            r.bare,
        )
        for r in await tx.execute(_PAGE, {"after": after, "limit": limit})
    ]


async def move(
    tx: AsyncConnection, epoch: int, *, position: str, examined: int, changed: int, done: bool
) -> None:
    """Count a page, and stand behind it."""
    await tx.execute(
        _MOVE,
        {
            "epoch": epoch,
            "position": position,
            "examined": examined,
            "changed": changed,
            "done": done,
        },
    )


_OPEN = text("SELECT count(*) FROM definition_job WHERE finished_at IS NULL")


async def count_open(tx: AsyncConnection) -> int:
    """How many jobs wait or run."""
    count: int = (await tx.execute(_OPEN)).scalar_one()
    return count


async def fail(tx: AsyncConnection, epoch: int, error: str) -> None:
    """End an open job that cannot go on."""
    await tx.execute(_FAIL, {"epoch": epoch, "error": error})


def _job(row: Row[Any] | None) -> Job | None:
    return None if row is None else Job._make(row)
