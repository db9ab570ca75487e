"""What is in force: segments, personas, event leaves, and the epoch that counts its changes.

Whoever works by it holds a shared lock until the end of the transaction, whoever changes it the
exclusive one: after a change is committed, nobody works by what was before.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.postgres.transaction import Tx

LOCK = 0x636F_6E63_6572_74
"""The advisory lock of this database that stands for what is in force."""

_SHARE = text("SELECT pg_advisory_xact_lock_shared(:lock)")
_EXCLUDE = text("SELECT pg_advisory_xact_lock(:lock)")
_STATE = text("SELECT epoch, floor, personas_since, clock.now() AS now FROM definition_epoch")
_BUMP = text("UPDATE definition_epoch SET epoch = epoch + 1 RETURNING epoch")
_RAISE_FLOOR = text("UPDATE definition_epoch SET floor = greatest(floor, :epoch)")
_PERSONAS = text("UPDATE definition_epoch SET personas_since = :epoch")
_ALL = text("SELECT kind, key, since, body::text AS body FROM definition ORDER BY kind, key")
_LEAVES = text("SELECT hash, since, body::text AS body FROM event_leaf ORDER BY hash")
_STREAMS = text("SELECT key, keep, since FROM event_stream")
_PUT = text(
    """
    INSERT INTO definition (kind, key, since, body)
    VALUES (:kind, :key, :since, CAST(:body AS jsonb))
    ON CONFLICT (kind, key) DO UPDATE SET since = excluded.since, body = excluded.body
    """
)
_REMOVE = text("DELETE FROM definition WHERE kind = :kind AND key = :key")
_PUT_LEAF = text(
    """
    INSERT INTO event_leaf (hash, since, body, registered_at)
    VALUES (:hash, :since, CAST(:body AS jsonb), clock_timestamp())
    ON CONFLICT (hash) DO UPDATE SET since = excluded.since, body = excluded.body
    """
)
_DROP_STREAMS = text("DELETE FROM event_stream")
_PUT_STREAMS = text(
    """
    INSERT INTO event_stream (key, keep, since)
    SELECT * FROM unnest(CAST(:keys AS text[]), CAST(:keep AS integer[]), CAST(:since AS bigint[]))
    """
)


class Row(NamedTuple):
    """A segment or persona in force."""

    kind: str
    key: str
    since: int
    body: dict[str, Any]


class LeafRow(NamedTuple):
    """An event leaf that somebody registered."""

    hash: str
    since: int
    body: dict[str, Any]


class StreamRow(NamedTuple):
    """What a stream keeps, and since when."""

    keep: int
    since: int


class State(NamedTuple):
    """The epoch of what is in force, and the time of the business clock."""

    epoch: int
    floor: int
    personas_since: int
    now: datetime


@dataclass(frozen=True, slots=True)
class Stored:
    """Everything in force."""

    rows: list[Row]
    leaves: list[LeafRow]
    streams: dict[str, StreamRow]


async def share(tx: AsyncConnection) -> State:
    """Nobody changes what is in force until the transaction ends."""
    await tx.execute(_SHARE, {"lock": LOCK})
    return await state(tx)


async def exclude(tx: AsyncConnection) -> State:
    """Nobody works by what is in force until the transaction ends; to be taken last."""
    await tx.execute(_EXCLUDE, {"lock": LOCK})
    return await state(tx)


async def state(tx: AsyncConnection) -> State:
    """The present epoch, without a lock."""
    row = (await tx.execute(_STATE)).one()
    return State(row.epoch, row.floor, row.personas_since, row.now)


async def load(tx: Tx) -> Stored:
    """Everything in force."""
    rows = [Row(r.kind, r.key, r.since, orjson.loads(r.body)) for r in await tx.execute(_ALL)]
    leaves = [LeafRow(r.hash, r.since, orjson.loads(r.body)) for r in await tx.execute(_LEAVES)]
    streams = {r.key: StreamRow(r.keep, r.since) for r in await tx.execute(_STREAMS)}
    return Stored(rows, leaves, streams)


async def bump(tx: AsyncConnection) -> int:
    """What is in force changes with this transaction, which holds the exclusive lock."""
    return int((await tx.execute(_BUMP)).scalar_one())


async def raise_floor(tx: AsyncConnection, epoch: int) -> None:
    """Every profile was looked at by the definitions of that epoch."""
    await tx.execute(_RAISE_FLOOR, {"epoch": epoch})


async def put(
    tx: AsyncConnection, kind: str, key: str, body: Mapping[str, Any] | None, *, since: int
) -> None:
    """Put a definition in force, or (None) out of it."""
    if body is None:
        await tx.execute(_REMOVE, {"kind": kind, "key": key})
    else:
        text_ = orjson.dumps(body).decode()
        await tx.execute(_PUT, {"kind": kind, "key": key, "since": since, "body": text_})
    if kind == "persona":
        await tx.execute(_PERSONAS, {"epoch": since})


async def put_leaf(tx: AsyncConnection, hash_: str, body: Mapping[str, Any], *, since: int) -> None:
    """Register an event leaf."""
    values = {"hash": hash_, "since": since, "body": orjson.dumps(body).decode()}
    await tx.execute(_PUT_LEAF, values)


async def replace_streams(tx: AsyncConnection, streams: Mapping[str, StreamRow]) -> None:
    """These are the streams that are counted from now on."""
    await tx.execute(_DROP_STREAMS)
    if streams:
        await tx.execute(
            _PUT_STREAMS,
            {
                "keys": list(streams),
                "keep": [one.keep for one in streams.values()],
                "since": [one.since for one in streams.values()],
            },
        )
