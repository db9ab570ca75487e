"""The daily files of channels: which lines belong to which, and how far a file came.

The lines of a file are chosen once, when its day is claimed the first time; whoever takes over
after a crash finds the same ones.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

PAGE = 500
LEASE = timedelta(seconds=60)

_OPEN = text(
    """
    SELECT EXISTS (SELECT FROM delivery WHERE channel = :channel AND state = 'waiting'
                      AND kind = 'send' AND due_at <= :cut_off
                      AND (expires_at IS NULL OR expires_at > (SELECT clock.now())))
       AND NOT EXISTS (SELECT FROM delivery_batch WHERE channel = :channel AND day = :day)
    """
)
_UNFINISHED = text(
    """
    SELECT day FROM delivery_batch
     WHERE channel = :channel AND closed_at IS NULL
       AND (lease_until IS NULL OR lease_until < clock_timestamp())
     ORDER BY day LIMIT 1 FOR UPDATE SKIP LOCKED
    """
)
_CREATE = text(
    """
    INSERT INTO delivery_batch (channel, day) VALUES (:channel, :day)
        ON CONFLICT DO NOTHING RETURNING day
    """
)
_TAKE = text(
    """
    UPDATE delivery_batch SET epoch = epoch + 1,
           lease_until = clock_timestamp() + CAST(:lease AS interval)
     WHERE channel = :channel AND day = :day RETURNING epoch
    """
)
_CHOOSE = text(
    """
    UPDATE delivery SET state = 'claimed', batch = :day, tries = tries + 1, epoch = epoch + 1,
           lease_until = 'infinity', reached = true
     WHERE channel = :channel AND state = 'waiting' AND kind = 'send' AND due_at <= :cut_off
       AND (expires_at IS NULL OR expires_at > (SELECT clock.now()))
    """
)
_LEAVE_OUT = text(
    """
    WITH gone AS (
        UPDATE delivery SET state = 'withdrawn', lease_until = NULL, reached = false,
               finished_at = (SELECT clock.now())
         WHERE channel = :channel AND batch = :day AND state = 'claimed'
           AND withdrawn_at IS NOT NULL
        RETURNING action_id
    )
    UPDATE delivery AS r SET state = 'withdrawn', finished_at = (SELECT clock.now())
      FROM gone WHERE r.action_id = gone.action_id AND r.kind = 'retract' AND r.state = 'waiting'
    """
)
_LINES = text(
    """
    SELECT action_id, body FROM delivery
     WHERE channel = :channel AND batch = :day AND kind = 'send' AND state = 'claimed'
       AND action_id > :after
     ORDER BY action_id LIMIT :limit
    """
)
_HOLD = text(
    """
    UPDATE delivery_batch SET lease_until = clock_timestamp() + CAST(:lease AS interval)
     WHERE channel = :channel AND day = :day AND epoch = :epoch AND closed_at IS NULL RETURNING day
    """
)
_DELIVERED = text(
    """
    UPDATE delivery AS d SET state = 'delivered', lease_until = NULL,
           finished_at = (SELECT clock.now())
      FROM (SELECT action_id FROM delivery
             WHERE channel = :channel AND batch = :day AND kind = 'send' AND state = 'claimed'
             ORDER BY action_id LIMIT :limit) AS page
     WHERE d.action_id = page.action_id AND d.kind = 'send'
    RETURNING d.action_id, d.profile_id::text AS profile_id, d.test
    """
)
_CLOSE = text(
    """
    UPDATE delivery_batch
       SET closed_at = (SELECT clock.now()), lease_until = NULL, file = :file, sha256 = :sha256,
           lines = (SELECT count(*) FROM delivery
                     WHERE channel = :channel AND batch = :day AND state = 'delivered')
     WHERE channel = :channel AND day = :day AND epoch = :epoch
    """
)


@dataclass(frozen=True, slots=True)
class Batch:
    """A day's file that this process has to write, unless the `epoch` moved on."""

    channel: str
    day: date
    epoch: int


@dataclass(frozen=True, slots=True)
class Line:
    """One delivery of a file."""

    action_id: UUID
    profile_id: str
    test: bool


async def take(tx: AsyncConnection, channel: str, *, day: date, cut_off: datetime) -> Batch | None:
    """A file to write: one that somebody left unfinished, else the day's if anything waits for
    it; None when there is nothing to do."""
    values = {"channel": channel, "day": day, "cut_off": cut_off, "lease": LEASE}
    unfinished = (await tx.execute(_UNFINISHED, values)).scalar_one_or_none()
    if unfinished is not None:
        values["day"] = unfinished
    else:
        waits = (await tx.execute(_OPEN, values)).scalar_one()
        if not waits or (await tx.execute(_CREATE, values)).scalar_one_or_none() is None:
            return None
        await tx.execute(_CHOOSE, values)
    epoch = (await tx.execute(_TAKE, values)).scalar_one()
    return Batch(channel, unfinished or day, epoch)


async def leave_out(tx: AsyncConnection, batch: Batch) -> None:
    """Drop the lines that were withdrawn before the file was there."""
    await tx.execute(_LEAVE_OUT, {"channel": batch.channel, "day": batch.day})


async def lines(tx: AsyncConnection, batch: Batch, after: UUID) -> list[tuple[UUID, bytes]]:
    """The next lines, by id: (action, body)."""
    values = {"channel": batch.channel, "day": batch.day, "after": after, "limit": PAGE}
    return [(row.action_id, row.body) for row in await tx.execute(_LINES, values)]


async def hold(tx: AsyncConnection, batch: Batch) -> bool:
    """Go on holding the file, locked until the transaction ends; False: somebody else has it."""
    values = {"channel": batch.channel, "day": batch.day, "epoch": batch.epoch, "lease": LEASE}
    return (await tx.execute(_HOLD, values)).scalar_one_or_none() is not None


async def delivered(tx: AsyncConnection, batch: Batch) -> list[Line]:
    """Mark some more lines; none when all are."""
    values = {"channel": batch.channel, "day": batch.day, "limit": PAGE}
    rows = await tx.execute(_DELIVERED, values)
    return [Line(row.action_id, row.profile_id, row.test) for row in rows]


async def close(tx: AsyncConnection, batch: Batch, *, file: str, sha256: str) -> None:
    """The file is whole and every line of it is marked."""
    values = {"channel": batch.channel, "day": batch.day, "epoch": batch.epoch}
    await tx.execute(_CLOSE, values | {"file": file, "sha256": sha256})
