"""What the built-in connectors have to deliver: queued and withdrawn together with the action.

`queue` and `withdraw` belong into the transaction that publishes or takes back the action. They
take no lock but those of the deliveries themselves.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.postgres.transaction import Tx

NIL = UUID(int=0)
_QUEUE = text(
    """
    INSERT INTO delivery (action_id, kind, channel, profile_id, state, test, queued_at, due_at,
                          expires_at, body)
    SELECT action_id, 'send', channel, profile_id, 'waiting', test, due_at, due_at, expires_at, body
      FROM unnest(CAST(:actions AS uuid[]), CAST(:channels AS text[]), CAST(:profiles AS uuid[]),
                  CAST(:due AS timestamptz[]), CAST(:expires AS timestamptz[]),
                  CAST(:bodies AS bytea[]), CAST(:tests AS boolean[]))
           AS d (action_id, channel, profile_id, due_at, expires_at, body, test)
     ORDER BY action_id
        ON CONFLICT (action_id, kind) DO NOTHING
    """
)
# What waits and was never tried is simply not sent. What a try may have brought to the channel is
# taken back there, once the try is over.
_WITHDRAW = text(
    """
    WITH found AS MATERIALIZED (
        SELECT action_id, state, reached FROM delivery
         WHERE action_id = ANY (CAST(:ids AS uuid[])) AND kind = 'send' AND withdrawn_at IS NULL
         ORDER BY action_id FOR UPDATE
    ), taken AS (
        UPDATE delivery AS d
           SET withdrawn_at = (SELECT clock.now()),
               state = CASE WHEN d.state = 'waiting' THEN 'withdrawn' ELSE d.state END,
               finished_at = CASE WHEN d.state = 'waiting' THEN (SELECT clock.now())
                                  ELSE d.finished_at END
          FROM found WHERE d.action_id = found.action_id AND d.kind = 'send'
        RETURNING d.action_id, d.channel, d.profile_id, d.body,
                  found.state AS was, found.reached
    ), retracts AS (
        INSERT INTO delivery (action_id, kind, channel, profile_id, state, queued_at, due_at, body)
        SELECT t.action_id, 'retract', t.channel, t.profile_id, 'waiting', (SELECT clock.now()),
               (SELECT clock.now()), coalesce(m.body, t.body)
          FROM taken AS t
          LEFT JOIN unnest(CAST(:told AS uuid[]), CAST(:messages AS bytea[]))
                    AS m (action_id, body) ON m.action_id = t.action_id
         WHERE t.was IN ('claimed', 'delivered') OR t.reached
         ORDER BY t.action_id
            ON CONFLICT (action_id, kind) DO NOTHING
    )
    SELECT action_id FROM taken WHERE was = 'waiting' AND NOT reached
    """
)
# A try that is being made may still bring it: then it is taken back on the channel.
_SUPERSEDE = text(
    """
    WITH found AS MATERIALIZED (
        SELECT action_id, channel, profile_id, state, reached, body,
               coalesce(expires_at <= (SELECT clock.now()), false) AS is_over
          FROM delivery
         WHERE action_id = ANY (CAST(:ids AS uuid[])) AND kind = 'send' AND withdrawn_at IS NULL
           AND state IN ('waiting', 'claimed')
         ORDER BY action_id FOR UPDATE
    ), stopped AS (
        UPDATE delivery AS d
           SET withdrawn_at = (SELECT clock.now()),
               state = CASE WHEN d.state = 'waiting' THEN 'withdrawn' ELSE d.state END,
               finished_at = CASE WHEN d.state = 'waiting' THEN (SELECT clock.now()) END
          FROM found
         WHERE d.action_id = found.action_id AND d.kind = 'send' AND NOT found.is_over
    )
    INSERT INTO delivery (action_id, kind, channel, profile_id, state, queued_at, due_at, body)
    SELECT action_id, 'retract', channel, profile_id, 'waiting', (SELECT clock.now()),
           (SELECT clock.now()), body
      FROM found WHERE state = 'claimed' OR reached
     ORDER BY action_id
        ON CONFLICT (action_id, kind) DO NOTHING
    """
)
# What is told of an erased person goes on without the person: under no profile.
_WHOSE_NO_MORE = text(
    f"""
    UPDATE delivery SET profile_id = '{NIL}'
     WHERE profile_id = ANY (CAST(:profiles AS uuid[])) AND kind = 'retract'
       AND state IN ('waiting', 'claimed')
    """  # noqa: S608 - a constant
)
_HAD = text(
    """
    SELECT action_id, channel, body FROM delivery
     WHERE action_id = ANY (CAST(:actions AS uuid[])) AND kind = 'send' AND withdrawn_at IS NULL
       AND (state IN ('claimed', 'delivered') OR reached)
     ORDER BY action_id
    """
)
_TELL = text(
    f"""
    INSERT INTO delivery (action_id, kind, channel, profile_id, state, queued_at, due_at, body)
    SELECT action_id, 'retract', channel, '{NIL}', 'waiting', (SELECT clock.now()),
           (SELECT clock.now()), body
      FROM unnest(CAST(:actions AS uuid[]), CAST(:channels AS text[]), CAST(:bodies AS bytea[]))
           AS d (action_id, channel, body)
     ORDER BY action_id
        ON CONFLICT (action_id, kind) DO NOTHING
    """  # noqa: S608 - a constant
)
_ONE_TEST_AT_A_TIME = text("SELECT pg_advisory_xact_lock(hashtext('concert.test_send'))")
_TESTS = text(
    """
    SELECT count(*) FROM delivery
     WHERE test AND queued_at > (SELECT clock.now()) - CAST(:within AS interval)
    """
)
# Whoever is in flight may still be taken back: that needs to be known.
_FORGET = text(
    """
    DELETE FROM delivery WHERE (action_id, kind) IN (
        SELECT action_id, kind FROM delivery AS d
         WHERE finished_at < (SELECT clock.now()) - CAST(:after AS interval)
           AND (expires_at IS NULL OR expires_at < (SELECT clock.now()))
           AND NOT EXISTS (SELECT FROM action AS a
                            WHERE a.action_id = d.action_id AND a.in_flight)
         ORDER BY finished_at LIMIT :limit FOR UPDATE SKIP LOCKED)
    """
)
_HANDED_OVER = text(
    """
    UPDATE delivery SET state = 'delivered', finished_at = (SELECT clock.now())
     WHERE action_id = :action_id AND kind = 'send'
    """
)
_FIND = text(
    """
    SELECT action_id, kind, channel, profile_id, state, test, queued_at, due_at, expires_at, tries,
           reached, finished_at, reason, batch
      FROM delivery WHERE action_id = :action_id ORDER BY queued_at, kind DESC
    """
)


@dataclass(frozen=True, slots=True)
class StoredDelivery:
    """How far a delivery, or the retraction of one, came on its channel."""

    action_id: UUID
    kind: str
    channel: str
    profile_id: UUID
    state: str
    test: bool
    queued_at: datetime
    due_at: datetime
    expires_at: datetime | None
    tries: int
    reached: bool
    finished_at: datetime | None
    reason: str | None
    batch: date | None


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    """What one action asks of a connector; `body` is the action as JSON, times are the business
    clock's. A `test` was asked for by a person and is about no decision."""

    action_id: UUID
    channel: str
    profile_id: str
    due_at: datetime
    expires_at: datetime | None
    body: bytes
    test: bool = False


async def queue(tx: Tx, rows: Sequence[DeliveryRow]) -> None:
    """Let the actions be delivered; those that are queued already stay as they are."""
    if not rows:
        return
    await tx.execute(
        _QUEUE,
        {
            "actions": [row.action_id for row in rows],
            "channels": [row.channel for row in rows],
            "profiles": [row.profile_id for row in rows],
            "due": [row.due_at for row in rows],
            "expires": [row.expires_at for row in rows],
            "bodies": [row.body for row in rows],
            "tests": [row.test for row in rows],
        },
    )


async def withdraw(
    tx: Tx,
    action_ids: Collection[UUID],
    messages: Mapping[UUID, bytes] | None = None,
) -> set[UUID]:
    """Take deliveries back; returns those that nothing was tried for, so nobody has them.

    For the others the channel gets a `retract` when the present try is over: the action's message
    in `messages`, else one made of what was sent. Ids without a delivery are passed over.
    """
    if not action_ids:
        return set()
    told = {} if messages is None else messages
    values = {
        "ids": sorted(action_ids),
        "told": list(told),
        "messages": list(told.values()),
    }
    return set((await tx.execute(_WITHDRAW, values)).scalars())


async def supersede(tx: Tx, action_ids: Collection[UUID]) -> None:
    """Something else is done instead of these actions: what has not arrived must not any more. A
    delivery whose time is up is left to expire, so that it is said."""
    if action_ids:
        await tx.execute(_SUPERSEDE, {"ids": sorted(action_ids)})


async def tell_of_erasure(
    tx: Tx,
    profile_ids: Collection[str],
    action_ids: Collection[UUID],
    retraction_of: Callable[[bytes], bytes],
) -> None:
    """Before the deliveries of erased people are deleted: let channels take back what they may
    have of these actions. What is kept for that names no person."""
    await tx.execute(_WHOSE_NO_MORE, {"profiles": sorted(profile_ids)})
    if not action_ids:
        return
    had = (await tx.execute(_HAD, {"actions": sorted(action_ids)})).all()
    if had:
        values = {
            "actions": [row.action_id for row in had],
            "channels": [row.channel for row in had],
            "bodies": [retraction_of(row.body) for row in had],
        }
        await tx.execute(_TELL, values)


async def tests_within(tx: AsyncConnection, within: timedelta) -> int:
    """How many tests were sent lately; nobody else sends one until the transaction ends."""
    await tx.execute(_ONE_TEST_AT_A_TIME)
    count: int = (await tx.execute(_TESTS, {"within": within})).scalar_one()
    return count


async def handed_over(tx: AsyncConnection, action_id: UUID) -> None:
    """The action is on its channel's topic, and nobody here delivers it."""
    await tx.execute(_HANDED_OVER, {"action_id": action_id})


async def forget(tx: AsyncConnection, *, after: timedelta, limit: int) -> int:
    """Delete deliveries that ended so long ago, at most `limit`; how many. What became of them
    stands on their actions."""
    return (await tx.execute(_FORGET, {"after": after, "limit": limit})).rowcount


async def find(tx: AsyncConnection, action_id: UUID) -> list[StoredDelivery]:
    """The delivery of an action, then its retraction if there is one."""
    rows = await tx.execute(_FIND, {"action_id": action_id})
    return [StoredDelivery(*row) for row in rows]
