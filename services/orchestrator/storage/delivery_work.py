"""Deliveries as the role `deliver` works them off: claimed, settled, expired, found abandoned.

What is due and what has expired is the business clock's, leases and limits are real time. A claim
commits before anything is sent; whoever finds its lease run out knows that a try may have been
made. Order of locks: the row of the channel, then deliveries.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.orchestrator.domain.channel import Channel
from services.orchestrator.domain.delivering import UNKNOWN, Claimed, Settled
from services.orchestrator.domain.throttle import Throttle

SOME = 200
MOST = 10_000
_COLUMNS = """action_id, kind, channel, profile_id::text AS profile_id, test, queued_at, expires_at,
    tries, epoch, body"""

_CLOCKS = text("SELECT clock.now() AS business, clock_timestamp() AS real")
_WORK = text(
    """
    SELECT EXISTS (SELECT FROM delivery WHERE channel = :channel AND state = 'waiting'
                      AND due_at <= (SELECT clock.now())) AS due,
           EXISTS (SELECT FROM delivery WHERE channel = :channel AND state = 'claimed'
                      AND lease_until < clock_timestamp()) AS abandoned,
           EXISTS (SELECT FROM delivery WHERE channel = :channel AND state = 'waiting'
                      AND expires_at <= (SELECT clock.now())) AS expired
    """
)
_KNOW = text("INSERT INTO delivery_channel (channel) VALUES (:channel) ON CONFLICT DO NOTHING")
_LOCK = text(
    """
    SELECT slots::text AS slots, failures, opened, blocked_until, clock_timestamp() AS real
      FROM delivery_channel WHERE channel = :channel FOR UPDATE
    """
)
_KEEP = text(
    """
    UPDATE delivery_channel SET slots = CAST(:slots AS jsonb), failures = :failures,
           opened = :opened, blocked_until = :blocked_until
     WHERE channel = :channel
    """
)
_RECOVERED = text(
    """
    UPDATE delivery_channel SET failures = 0, opened = 0,
           blocked_until = CASE WHEN opened = 0 THEN blocked_until END
     WHERE channel = :channel AND (failures > 0 OR opened > 0)
    """
)
# A retraction waits until the try is over that it takes back.
_CLAIM = text(
    f"""
    WITH next AS MATERIALIZED (
        SELECT action_id, kind FROM delivery AS d
         WHERE channel = :channel AND state = 'waiting' AND due_at <= (SELECT clock.now())
           AND (expires_at IS NULL OR expires_at > (SELECT clock.now()))
           AND kind = ANY (CAST(:kinds AS text[]))
           AND (kind = 'send' OR NOT EXISTS (
                SELECT FROM delivery AS s WHERE s.action_id = d.action_id AND s.kind = 'send'
                                            AND s.state = 'claimed'))
         ORDER BY due_at, action_id LIMIT :limit FOR UPDATE SKIP LOCKED
    ), claimed AS (
        UPDATE delivery AS d
           SET state = 'claimed', epoch = epoch + 1, tries = tries + 1,
               lease_until = clock_timestamp() + CAST(:lease AS interval)
          FROM next WHERE d.action_id = next.action_id AND d.kind = next.kind
        RETURNING d.*
    )
    SELECT {_COLUMNS} FROM claimed ORDER BY due_at, action_id
    """  # noqa: S608 - constants
)
_SETTLE = text(
    """
    UPDATE delivery
       SET state = CASE WHEN :state = 'waiting' AND withdrawn_at IS NOT NULL THEN 'withdrawn'
                        ELSE :state END,
           lease_until = NULL, reached = reached OR :reached, reason = :reason,
           tries = tries - CASE WHEN :counts THEN 0 ELSE 1 END,
           due_at = COALESCE(CAST(:due_at AS timestamptz), due_at),
           finished_at = CASE WHEN :state <> 'waiting' OR withdrawn_at IS NOT NULL
                              THEN (SELECT clock.now()) END
     WHERE action_id = :action_id AND kind = :kind AND epoch = :epoch AND state = 'claimed'
    RETURNING state, reached, profile_id::text AS profile_id
    """
)
_NEVER_MIND = text(
    """
    UPDATE delivery SET state = 'withdrawn', finished_at = (SELECT clock.now())
     WHERE action_id = :action_id AND kind = 'retract' AND state = 'waiting'
    """
)
_EXPIRE = text(
    f"""
    UPDATE delivery AS d SET state = 'expired', finished_at = (SELECT clock.now())
      FROM (SELECT action_id, kind FROM delivery
             WHERE channel = :channel AND state = 'waiting' AND expires_at <= (SELECT clock.now())
             ORDER BY expires_at LIMIT {SOME} FOR UPDATE SKIP LOCKED) AS late
     WHERE d.action_id = late.action_id AND d.kind = late.kind
    RETURNING d.action_id, d.kind, d.channel, d.profile_id::text AS profile_id, d.test,
              d.queued_at, d.expires_at, d.tries, d.epoch, d.body, d.state
    """  # noqa: S608 - constants
)
_ABANDONED = text(
    f"""
    UPDATE delivery AS d
       SET state = CASE WHEN withdrawn_at IS NOT NULL THEN 'withdrawn'
                        WHEN d.kind = 'send' AND :at_most_once OR d.tries >= :tries THEN 'failed'
                        ELSE 'waiting' END,
           finished_at = CASE WHEN withdrawn_at IS NOT NULL OR d.tries >= :tries
                                OR d.kind = 'send' AND :at_most_once THEN (SELECT clock.now()) END,
           lease_until = NULL, reached = true, reason = '{UNKNOWN}'
      FROM (SELECT action_id, kind FROM delivery
             WHERE channel = :channel AND state = 'claimed' AND lease_until < clock_timestamp()
             ORDER BY lease_until LIMIT {SOME} FOR UPDATE SKIP LOCKED) AS lost
     WHERE d.action_id = lost.action_id AND d.kind = lost.kind
    RETURNING d.action_id, d.kind, d.channel, d.profile_id::text AS profile_id, d.test,
              d.queued_at, d.expires_at, d.tries, d.epoch, d.body, d.state
    """  # noqa: S608 - constants
)
# Counting a million rows every few seconds is not worth a figure that nobody reads to the digit.
_WAITING = text(
    """
    SELECT c.channel,
           (SELECT count(*) FROM (SELECT FROM delivery AS d
                                   WHERE d.channel = c.channel AND d.state = 'waiting'
                                   LIMIT :most) AS first) AS waiting,
           coalesce(greatest(0, extract(epoch FROM (SELECT clock.now()) - (
               SELECT d.due_at FROM delivery AS d
                WHERE d.channel = c.channel AND d.state = 'waiting'
                ORDER BY d.due_at LIMIT 1))), 0)::float8 AS oldest
      FROM unnest(CAST(:channels AS text[])) AS c (channel)
    """
)
_THROTTLES = text(
    """
    SELECT channel, slots::text AS slots, failures, opened, blocked_until, clock_timestamp() AS real
      FROM delivery_channel
    """
)


@dataclass(frozen=True, slots=True)
class Work:
    """What there is to do for a channel."""

    due: bool
    abandoned: bool
    expired: bool


@dataclass(frozen=True, slots=True)
class Clocks:
    """The business clock, and the database's own."""

    business: datetime
    real: datetime


async def work(tx: AsyncConnection, channel: str) -> Work:
    """What waits for a channel, without a lock."""
    row = (await tx.execute(_WORK, {"channel": channel})).one()
    return Work(row.due, row.abandoned, row.expired)


async def clocks(tx: AsyncConnection) -> Clocks:
    """Both clocks, now."""
    row = (await tx.execute(_CLOCKS)).one()
    return Clocks(row.business, row.real)


async def lock_throttle(tx: AsyncConnection, channel: str) -> tuple[Throttle, datetime]:
    """The state of the channel's limits, and the real time; nobody else changes it until the
    transaction ends."""
    row = (await tx.execute(_LOCK, {"channel": channel})).one_or_none()
    if row is None:
        await tx.execute(_KNOW, {"channel": channel})
        row = (await tx.execute(_LOCK, {"channel": channel})).one()
    return _throttle(row), row.real


async def keep_throttle(tx: AsyncConnection, channel: str, throttle: Throttle) -> None:
    """Store the state, which has to be locked."""
    values = {
        "channel": channel,
        "slots": orjson.dumps({str(slot): n for slot, n in throttle.slots.items()}).decode(),
        "failures": throttle.failures,
        "opened": throttle.opened,
        "blocked_until": throttle.blocked_until,
    }
    await tx.execute(_KEEP, values)


async def recovered(tx: AsyncConnection, channel: str) -> None:
    """The channel took something: its circuit closes. A wait it asked for itself stays."""
    await tx.execute(_RECOVERED, {"channel": channel})


async def claim(
    tx: AsyncConnection, channel: str, *, limit: int, lease: timedelta, kinds: Sequence[str]
) -> list[Claimed]:
    """At most `limit` deliveries that are due, for this process until the lease ends."""
    values = {"channel": channel, "limit": limit, "lease": lease, "kinds": list(kinds)}
    rows = await tx.execute(_CLAIM, values)
    return [_claimed(row) for row in rows]


async def settled(
    tx: AsyncConnection, claimed: Claimed, settled: Settled, *, reached: bool
) -> tuple[str, str] | None:
    """Write the result; (state, profile) as they now are, None when the lease was lost, or the
    person erased, and nothing was written."""
    values = {
        "action_id": claimed.action_id,
        "kind": claimed.kind,
        "epoch": claimed.epoch,
        "state": settled.state,
        "reason": settled.reason,
        "due_at": settled.due_at,
        "counts": settled.counts,
        "reached": reached,
    }
    row = (await tx.execute(_SETTLE, values)).one_or_none()
    if row is None:
        return None
    if row.state == "withdrawn" and not row.reached:
        await tx.execute(_NEVER_MIND, {"action_id": claimed.action_id})
    return row.state, row.profile_id


async def expire(tx: AsyncConnection, channel: str) -> list[Claimed]:
    """Close what waits and may not be sent any more; some of it at a time."""
    return [_claimed(row) for row in await tx.execute(_EXPIRE, {"channel": channel})]


async def abandoned(tx: AsyncConnection, channel: Channel) -> list[tuple[Claimed, str]]:
    """Take back what a process claimed that died; each with the state it has now."""
    values = {
        "channel": channel.key,
        "at_most_once": channel.delivery == "at_most_once",
        "tries": channel.retry.tries,
    }
    return [(_claimed(row), row.state) for row in await tx.execute(_ABANDONED, values)]


async def waiting(tx: AsyncConnection, channels: Collection[str]) -> dict[str, tuple[int, float]]:
    """For each channel how many wait (at most MOST are counted), and for how many seconds the
    oldest has been due."""
    values = {"channels": list(channels), "most": MOST}
    rows = await tx.execute(_WAITING, values)
    return {row.channel: (row.waiting, row.oldest) for row in rows}


async def circuits(tx: AsyncConnection) -> dict[str, float]:
    """The circuit of each channel that ever sent anything."""
    rows = await tx.execute(_THROTTLES)
    return {row.channel: _throttle(row).circuit(row.real) for row in rows}


def _throttle(row: Row[Any]) -> Throttle:
    slots = {int(slot): n for slot, n in orjson.loads(row.slots).items()}
    return Throttle(slots, row.failures, row.opened, row.blocked_until)


def _claimed(row: Row[Any]) -> Claimed:
    fields: Sequence[str] = Claimed.__slots__
    return Claimed(**{name: getattr(row, name) for name in fields})
