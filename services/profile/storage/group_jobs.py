"""Groups with news, on their way to their members: one row for each group, page by page.

Whoever moves a job holds its row. News are rows of their own, so those who make them never wait.
"""

from datetime import timedelta
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

NIL = "00000000-0000-0000-0000-000000000000"

_COLLECT = text(
    """
    WITH taken AS (
        DELETE FROM group_news WHERE number IN (
            SELECT number FROM group_news ORDER BY number LIMIT :limit FOR UPDATE SKIP LOCKED)
        RETURNING group_id)
    INSERT INTO group_job (group_id, waiting, again)
    SELECT DISTINCT group_id, true, true FROM taken ORDER BY group_id
    ON CONFLICT (group_id) DO UPDATE SET waiting = true, again = true
    """
)
_TAKE = text(
    """
    SELECT group_id::text, position::text, passed FROM group_job
     WHERE waiting AND due_at <= clock_timestamp()
     ORDER BY due_at LIMIT 1 FOR UPDATE SKIP LOCKED
    """
)
_BEGIN = text("UPDATE group_job SET again = false WHERE group_id = CAST(:id AS uuid)")
_MOVE = text(
    """
    UPDATE group_job SET position = CAST(:position AS uuid), passed = passed + :passed
     WHERE group_id = CAST(:id AS uuid)
    """
)
_END = text(
    """
    UPDATE group_job
       SET waiting = again, position = CAST(:nil AS uuid), passed = 0,
           due_at = clock_timestamp() + (passed + :passed) * CAST(:rest AS interval)
     WHERE group_id = CAST(:id AS uuid)
    """
)
_PUT_OFF = text(
    """
    UPDATE group_job SET due_at = clock_timestamp() + interval '5 minutes'
     WHERE group_id = (SELECT group_id FROM group_job
                        WHERE waiting AND due_at <= clock_timestamp() ORDER BY due_at LIMIT 1)
    """
)


class GroupJob(NamedTuple):
    """A group whose members are gone through, and how far that has come."""

    group_id: str
    position: str
    passed: int


async def collect(tx: AsyncConnection, limit: int) -> int:
    """Make jobs of news; how many groups they were about."""
    return (await tx.execute(_COLLECT, {"limit": limit})).rowcount


async def take(tx: AsyncConnection) -> GroupJob | None:
    """The job that waits longest and that nobody else holds; None when there is none."""
    row = (await tx.execute(_TAKE)).one_or_none()
    return None if row is None else GroupJob(*row)


async def begin(tx: AsyncConnection, job: GroupJob) -> None:
    """A pass begins: what comes from now on needs another one."""
    await tx.execute(_BEGIN, {"id": job.group_id})


async def move(tx: AsyncConnection, job: GroupJob, *, position: str, passed: int) -> None:
    """Stand behind a page."""
    await tx.execute(_MOVE, {"id": job.group_id, "position": position, "passed": passed})


async def end(tx: AsyncConnection, job: GroupJob, *, passed: int, rest: timedelta) -> None:
    """The pass is over; the next one of the group begins no sooner than `rest` for each member
    that was passed."""
    values = {"id": job.group_id, "passed": passed, "rest": rest, "nil": NIL}
    await tx.execute(_END, values)


async def put_off(tx: AsyncConnection) -> None:
    """Let the first job come round again in five minutes."""
    await tx.execute(_PUT_OFF)
