"""Picks failed events for a replay or a discard, and marks what became of them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.ingest.storage.failed_events import decode_headers
from services.ingest.storage.failed_views import CHOSEN, Chosen
from shared.contracts.dead_letter import Headers

CLAIM_SECONDS = 120
"""How long the events of a replay are no other's, should its process end."""

_FREE = "(claimed_until IS NULL OR claimed_until < now())"

PICK = text(f"""
SELECT id, attempts, size FROM failed_event
 WHERE {CHOSEN} AND {_FREE} ORDER BY failed_at, id LIMIT :limit
""")  # noqa: S608 - conditions of ours

CLAIM = text(f"""
WITH locked AS MATERIALIZED (
    SELECT id FROM failed_event
     WHERE id = ANY(CAST(:ids AS uuid[])) AND status = :status AND {_FREE} ORDER BY id FOR UPDATE)
UPDATE failed_event f
   SET claimed_until = now() + make_interval(secs => :seconds), replay_id = :replay_id
  FROM locked WHERE f.id = locked.id
RETURNING f.id, f.attempts, f.size
""")  # noqa: S608 - conditions of ours

START = text("INSERT INTO replay (id, created_by) VALUES (:id, :created_by)")

LOAD = text("""
SELECT id, topic, part, channel, source, received_at, reason, key, raw, whole, attempts, headers
  FROM failed_event WHERE id = ANY(CAST(:ids AS uuid[])) ORDER BY failed_at, id
""")

RELEASE = text("""
UPDATE failed_event SET claimed_until = NULL
 WHERE id = ANY(CAST(:ids AS uuid[])) AND replay_id = :replay_id
""")

MARK = text("""
UPDATE failed_event f SET status = 'replayed', claimed_until = NULL
  FROM unnest(CAST(:ids AS uuid[]), CAST(:attempts AS integer[])) AS sent (id, attempts)
 WHERE f.id = sent.id AND f.attempts = sent.attempts AND f.replay_id = :replay_id
""")

DISCARD = text(f"""
WITH chosen AS MATERIALIZED (
    SELECT id FROM failed_event WHERE {CHOSEN} AND {_FREE} ORDER BY failed_at, id LIMIT :limit),
locked AS MATERIALIZED (
    SELECT id FROM failed_event
     WHERE id IN (SELECT id FROM chosen) AND status = :status AND {_FREE} ORDER BY id FOR UPDATE)
UPDATE failed_event f SET status = 'discarded' FROM locked WHERE f.id = locked.id
""")  # noqa: S608 - conditions of ours


class Picked(NamedTuple):
    """A failed event that a replay takes; `size` is in bytes."""

    id: UUID
    attempts: int
    size: int


class Kept(NamedTuple):
    """What a replay needs of a failed event."""

    id: UUID
    topic: str
    part: int
    channel: str
    source: str | None
    received_at: datetime
    reason: str
    key: bytes | None
    raw: bytes | None
    whole: bool
    attempts: int
    headers: Headers


async def pick(tx: AsyncConnection, chosen: Chosen, *, limit: int) -> list[Picked]:
    """The oldest failed events that are chosen and in nobody's hands."""
    rows = await tx.execute(PICK, {**chosen.values(), "limit": limit})
    return [Picked(*row) for row in rows]


async def claim(
    tx: AsyncConnection, picked: Sequence[Picked], *, status: str, replay_id: UUID, who: str
) -> list[Picked]:
    """Begin a replay: those of the picked that are still free are its own for a while."""
    await tx.execute(START, {"id": replay_id, "created_by": who})
    values: dict[str, Any] = {
        "ids": [one.id for one in picked],
        "status": status,
        "seconds": CLAIM_SECONDS,
        "replay_id": replay_id,
    }
    claimed = {row.id: Picked(*row) for row in await tx.execute(CLAIM, values)}
    return [claimed[one.id] for one in picked if one.id in claimed]


async def load(tx: AsyncConnection, ids: Sequence[UUID]) -> list[Kept]:
    """These failed events with their bytes, the oldest first."""
    rows = await tx.execute(LOAD, {"ids": list(ids)})
    return [Kept._make([*row[:-1], decode_headers(row.headers)]) for row in rows]


async def release(tx: AsyncConnection, ids: Sequence[UUID], replay_id: UUID) -> None:
    """Give back what a replay claimed and did not publish."""
    await tx.execute(RELEASE, {"ids": list(ids), "replay_id": replay_id})


async def mark_replayed(tx: AsyncConnection, sent: Sequence[Picked], replay_id: UUID) -> None:
    """What was published is replayed, unless it has failed again by now."""
    values = {
        "ids": [one.id for one in sent],
        "attempts": [one.attempts for one in sent],
        "replay_id": replay_id,
    }
    await tx.execute(MARK, values)


async def discard(tx: AsyncConnection, chosen: Chosen, *, limit: int) -> int:
    """Mark at most `limit` chosen failed events as of no use; how many."""
    return (await tx.execute(DISCARD, {**chosen.values(), "limit": limit})).rowcount
