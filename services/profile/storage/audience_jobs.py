"""Events on their way to an audience: one row each, moved a page of profiles at a time.

Whoever moves a job holds its row; others pass it by. The position moves in the transaction that
also holds the copies, so a job goes on where it stood, whoever dies.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

NIL = UUID(int=0)


class NewJob(NamedTuple):
    """A row to be inserted; `condition` is JSON."""

    touchpoint_id: str
    source: str
    message_id: str
    type: str
    condition: bytes


_INSERT = text(
    """
    INSERT INTO audience_job (touchpoint_id, source, message_id, type, condition)
    SELECT * FROM unnest(CAST(:ids AS uuid[]), CAST(:sources AS text[]),
                         CAST(:message_ids AS text[]), CAST(:types AS text[]),
                         CAST(:conditions AS bytea[]))
    ON CONFLICT DO NOTHING
    """
)


async def insert(tx: AsyncConnection, jobs: Sequence[NewJob]) -> None:
    """Let these events wait for a sweeper; one that is there stays as it is."""
    ids, sources, message_ids, types, conditions = zip(*sorted(jobs), strict=True)
    await tx.execute(
        _INSERT,
        {
            "ids": ids,
            "sources": sources,
            "message_ids": message_ids,
            "types": types,
            "conditions": conditions,
        },
    )


class OpenJob(NamedTuple):
    """A job that is ours until the end of the transaction.

    `position` is the last profile that was looked at. `until` is the last one there is to look at;
    None before it started, or when there was nobody.
    """

    touchpoint_id: str
    started: bool
    position: UUID
    until: UUID | None
    condition: bytes
    touchpoint: bytes


_TAKE = text(
    """
    SELECT touchpoint_id, status, position, until, condition,
           (SELECT body FROM touchpoint WHERE touchpoint.id = audience_job.touchpoint_id) AS body
      FROM audience_job
     WHERE finished_at IS NULL
     ORDER BY created_at, touchpoint_id
     LIMIT 1
       FOR UPDATE SKIP LOCKED
    """
)


async def take(tx: AsyncConnection) -> OpenJob | None:
    """The oldest open job that nobody else holds; None when there is none."""
    row = (await tx.execute(_TAKE)).one_or_none()
    if row is None:
        return None
    started = row.status == "running"
    return OpenJob(
        str(row.touchpoint_id), started, row.position, row.until, row.condition, row.body
    )


_START = text(
    """
    UPDATE audience_job
       SET status = 'running', started_at = clock_timestamp(),
           until = (SELECT id FROM profile ORDER BY id DESC LIMIT 1),
           of = (SELECT count(*) FROM profile)
     WHERE touchpoint_id = CAST(:id AS uuid)
    RETURNING until
    """
)


async def start(tx: AsyncConnection, touchpoint_id: str) -> UUID | None:
    """Note how many profile ids there are; returns the last one, None when there is none."""
    until: UUID | None = (await tx.execute(_START, {"id": touchpoint_id})).scalar_one()
    return until


_MOVE = text(
    """
    UPDATE audience_job
       SET position = CAST(:position AS uuid), examined = examined + :examined,
           matched = matched + :matched, left_out = left_out + :left_out,
           status = CASE WHEN :done THEN 'done' ELSE status END,
           finished_at = CASE WHEN :done THEN clock_timestamp() END
     WHERE touchpoint_id = CAST(:id AS uuid)
    """
)


async def move(
    tx: AsyncConnection,
    touchpoint_id: str,
    *,
    position: str,
    examined: int,
    matched: int,
    left_out: int,
    done: bool,
) -> None:
    """Count a page, and stand behind it."""
    await tx.execute(
        _MOVE,
        {
            "id": touchpoint_id,
            "position": position,
            "examined": examined,
            "matched": matched,
            "left_out": left_out,
            "done": done,
        },
    )


_END = text(
    """
    UPDATE audience_job SET status = :status, error = :error, finished_at = clock_timestamp()
     WHERE touchpoint_id = CAST(:id AS uuid) AND finished_at IS NULL
    """
)


async def end(
    tx: AsyncConnection, touchpoint_id: str, status: str, error: str | None = None
) -> bool:
    """End an open job, `failed` or `cancelled`; False if it is not open. Waits for its page."""
    values = {"id": touchpoint_id, "status": status, "error": error}
    return (await tx.execute(_END, values)).rowcount == 1


class Progress(NamedTuple):
    """A job as people see it. `of` is None until it started."""

    touchpoint_id: str
    source: str
    message_id: str
    type: str
    condition: bytes
    status: str
    examined: int
    of: int | None
    matched: int
    left_out: int
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    error: str | None


_SHOWN = """
    SELECT touchpoint_id, source, message_id, type, condition, status, examined, of, matched,
           left_out, created_at, started_at, finished_at, error
      FROM audience_job
"""
_READ = text(f"{_SHOWN} WHERE touchpoint_id = CAST(:id AS uuid)")
_NEWEST = text(
    f"""{_SHOWN}
     WHERE (created_at, touchpoint_id) < (CAST(:before_at AS timestamptz),
                                          CAST(:before_id AS uuid))
     ORDER BY created_at DESC, touchpoint_id DESC
     LIMIT :limit
    """
)
_OPEN = text("SELECT count(*) FROM audience_job WHERE finished_at IS NULL")
_END_OF_TIME = datetime.fromisoformat("9999-12-31T23:59:59.999999+00:00")


async def read(tx: AsyncConnection, touchpoint_id: str) -> Progress | None:
    """One job; None if the touchpoint has none."""
    row = (await tx.execute(_READ, {"id": touchpoint_id})).one_or_none()
    return None if row is None else _progress(row)


async def newest(
    tx: AsyncConnection, *, limit: int, before: tuple[datetime, UUID] | None
) -> list[Progress]:
    """Jobs, newest first; `before` is (created_at, touchpoint_id) of the last one seen."""
    before_at, before_id = before or (_END_OF_TIME, NIL)
    values = {"before_at": before_at, "before_id": before_id, "limit": limit}
    return [_progress(row) for row in await tx.execute(_NEWEST, values)]


async def count_open(tx: AsyncConnection) -> int:
    """How many jobs wait or run."""
    count: int = (await tx.execute(_OPEN)).scalar_one()
    return count


def _progress(row: Row[Any]) -> Progress:
    first: Any
    rest: list[Any]
    first, *rest = row
    return Progress(str(first), *rest)
