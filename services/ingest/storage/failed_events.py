"""Keeps failed events: one row for each raw record, however often its dead letter comes."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.ingest.domain.failed_event import Copy, FailedEvent
from shared.contracts.dead_letter import Headers

COLUMNS: tuple[tuple[str, str], ...] = (
    ("id", "uuid"),
    ("topic", "text"),
    ("part", "integer"),
    ("position", "bigint"),
    ("channel", "text"),
    ("source", "text"),
    ("event_id", "text"),
    ("event_type", "text"),
    ("received_at", "timestamptz"),
    ("failed_at", "timestamptz"),
    ("stage", "text"),
    ("reason", "text"),
    ("message", "text"),
    ("path", "text"),
    ("fingerprint", "text"),
    ("key", "bytea"),
    ("raw", "bytea"),
    ("size", "bigint"),
    ("sha256", "bytea"),
    ("whole", "boolean"),
    ("headers", "bytea"),
)
_NAMES = ", ".join(name for name, _ in COLUMNS)
_ARRAYS = ", ".join(f"CAST(:{name} AS {kind}[])" for name, kind in COLUMNS)

INSERT = text(
    f"INSERT INTO failed_event ({_NAMES}, last_position)"  # noqa: S608 - names of ours
    f" SELECT {_NAMES}, position FROM unnest({_ARRAYS}) AS new ({_NAMES}) ORDER BY id"
    " ON CONFLICT DO NOTHING RETURNING id"
)

KNOWN_GROUPS = text("""
SELECT said.fingerprint FROM unnest(CAST(:fingerprints AS text[])) AS said (fingerprint)
 WHERE EXISTS (SELECT FROM failed_event f WHERE f.fingerprint = said.fingerprint)
""")

ORIGINALS = text("""
SELECT f.id, said.replay, f.received_at
  FROM unnest(CAST(:ids AS uuid[]), CAST(:replays AS uuid[])) AS said (id, replay)
  JOIN replay r ON r.id = said.replay
  JOIN failed_event f ON f.id = said.id
""")

LOCK = text("""
SELECT id, topic, part, last_position FROM failed_event
 WHERE id = ANY(CAST(:ids AS uuid[])) ORDER BY id FOR UPDATE
""")

FAILED_AGAIN = text("""
UPDATE failed_event f
   SET attempts = f.attempts + new.times, last_position = new.position, status = 'new',
       claimed_until = NULL, failed_at = new.failed_at, stage = new.stage, reason = new.reason,
       message = new.message, path = new.path, fingerprint = new.fingerprint
  FROM unnest(CAST(:ids AS uuid[]), CAST(:times AS integer[]), CAST(:positions AS bigint[]),
              CAST(:failed_ats AS timestamptz[]), CAST(:stages AS text[]),
              CAST(:reasons AS text[]), CAST(:messages AS text[]), CAST(:paths AS text[]),
              CAST(:fingerprints AS text[]))
       AS new (id, times, position, failed_at, stage, reason, message, path, fingerprint)
 WHERE f.id = new.id
""")

FORGET = text("""
DELETE FROM failed_event WHERE id IN (
    SELECT id FROM failed_event WHERE failed_at < :before ORDER BY failed_at, id LIMIT :limit
       FOR UPDATE SKIP LOCKED)
""")
FORGET_REPLAYS = text("""
DELETE FROM replay WHERE id IN (
    SELECT id FROM replay WHERE created_at < :before ORDER BY created_at LIMIT :limit
       FOR UPDATE SKIP LOCKED)
""")

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[tuple[str, bytes]])


class Standing(NamedTuple):
    """Where the newest raw copy of a failed event stands."""

    topic: str
    part: int
    last_position: int


async def insert(tx: AsyncConnection, events: Sequence[FailedEvent]) -> set[UUID]:
    """Store the events whose raw position is not there yet; the ids of these."""
    if not events:
        return set()
    values: dict[str, list[Any]] = {
        name: [getattr(event, name) for event in events] for name, _ in COLUMNS
    }
    values["headers"] = [_encoder.encode(event.headers) for event in events]
    return {row.id for row in await tx.execute(INSERT, values)}


async def known_groups(tx: AsyncConnection, fingerprints: Collection[str]) -> set[str]:
    """Those of the fingerprints that a failed event has."""
    rows = await tx.execute(KNOWN_GROUPS, {"fingerprints": sorted(fingerprints)})
    return {row.fingerprint for row in rows}


async def originals(tx: AsyncConnection, copies: Collection[Copy]) -> dict[Copy, datetime]:
    """When the failed events were received that these copies stand for; made-up ones lack."""
    if not copies:
        return {}
    values = {
        "ids": [one.failed_event for one in copies],
        "replays": [one.replay for one in copies],
    }
    rows = await tx.execute(ORIGINALS, values)
    return {Copy(row.id, row.replay): row.received_at for row in rows}


async def lock(tx: AsyncConnection, ids: Collection[UUID]) -> dict[UUID, Standing]:
    """Where these failed events stand; nobody else changes them in this transaction."""
    rows = await tx.execute(LOCK, {"ids": list(ids)})
    return {row.id: Standing(row.topic, row.part, row.last_position) for row in rows}


async def failed_again(
    tx: AsyncConnection, newest: Sequence[tuple[UUID, FailedEvent, int]]
) -> None:
    """Store why replays of failed events failed: id, the newest failure, how many there were."""
    if not newest:
        return
    ids, events, times = zip(*newest, strict=True)
    values = {
        "ids": list(ids),
        "times": list(times),
        "positions": [event.position for event in events],
        "failed_ats": [event.failed_at for event in events],
        "stages": [event.stage for event in events],
        "reasons": [event.reason for event in events],
        "messages": [event.message for event in events],
        "paths": [event.path for event in events],
        "fingerprints": [event.fingerprint for event in events],
    }
    await tx.execute(FAILED_AGAIN, values)


async def forget(tx: AsyncConnection, *, before: datetime, limit: int) -> int:
    """Delete at most `limit` events that failed before an instant, and replays; how many."""
    values = {"before": before, "limit": limit}
    events = (await tx.execute(FORGET, values)).rowcount
    return max(events, (await tx.execute(FORGET_REPLAYS, values)).rowcount)


def decode_headers(stored: bytes) -> Headers:
    """The headers of a row."""
    return tuple(_decoder.decode(stored))
