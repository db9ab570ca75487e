"""Reads failed events for people: in pages, in groups, one by one."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.ingest.storage.failed_events import decode_headers
from shared.contracts.dead_letter import Headers

CHOSEN = """
       (CAST(:ids AS uuid[]) IS NULL OR id = ANY(CAST(:ids AS uuid[])))
   AND (CAST(:source AS text) IS NULL OR source = :source)
   AND (CAST(:reason AS text) IS NULL OR reason = :reason)
   AND (CAST(:fingerprint AS text) IS NULL OR fingerprint = :fingerprint)
   AND (CAST(:status AS text) IS NULL OR status = :status)
   AND (CAST(:since AS timestamptz) IS NULL OR failed_at >= :since)
"""

_VIEW = """
id, channel, source, event_type, received_at, failed_at, stage, reason, path, message,
fingerprint, size, whole, status, attempts, replay_id
"""

PAGE = text(f"""
SELECT {_VIEW} FROM failed_event
 WHERE {CHOSEN}
   AND (CAST(:before AS timestamptz) IS NULL
        OR (failed_at, id) < (CAST(:before AS timestamptz), CAST(:before_id AS uuid)))
 ORDER BY failed_at DESC, id DESC LIMIT :limit
""")  # noqa: S608 - conditions of ours

GROUPS = text(f"""
SELECT g.fingerprint, g.failures, g.first_seen, g.last_seen, e.id AS example_id, e.channel,
       e.source, e.event_type, e.reason, e.path, e.message
  FROM (SELECT fingerprint, count(*) AS failures, min(failed_at) AS first_seen,
               max(failed_at) AS last_seen
          FROM failed_event WHERE {CHOSEN} GROUP BY fingerprint
        HAVING CAST(:before AS timestamptz) IS NULL
            OR (max(failed_at), fingerprint) < (CAST(:before AS timestamptz), :before_group)
         ORDER BY last_seen DESC, fingerprint DESC LIMIT :limit) AS g
 CROSS JOIN LATERAL (
        SELECT * FROM failed_event WHERE {CHOSEN} AND fingerprint = g.fingerprint
         ORDER BY failed_at DESC, id DESC LIMIT 1) AS e
 ORDER BY g.last_seen DESC, g.fingerprint DESC
""")  # noqa: S608 - conditions of ours

ONE = text(f"""
SELECT {_VIEW}, topic, part, position, key, raw, sha256, headers
  FROM failed_event WHERE id = :id
""")  # noqa: S608 - columns of ours


class Chosen(NamedTuple):
    """Which failed events are meant; None means any."""

    ids: Sequence[UUID] | None = None
    source: str | None = None
    reason: str | None = None
    fingerprint: str | None = None
    status: str | None = None
    since: datetime | None = None

    def values(self) -> dict[str, Any]:
        """As parameters of a statement."""
        ids = None if self.ids is None else list(self.ids)
        return {**self._asdict(), "ids": ids}


class FailedEventRow(NamedTuple):
    """A failed event without its bytes."""

    id: UUID
    channel: str
    source: str | None
    event_type: str | None
    received_at: datetime
    failed_at: datetime
    stage: str
    reason: str
    path: str | None
    message: str
    fingerprint: str
    size: int
    whole: bool
    status: str
    attempts: int
    replay_id: UUID | None


class GroupRow(NamedTuple):
    """Failed events with one fingerprint, and the newest of them."""

    fingerprint: str
    failures: int
    first_seen: datetime
    last_seen: datetime
    example_id: UUID
    channel: str
    source: str | None
    event_type: str | None
    reason: str
    path: str | None
    message: str


class WholeRow(NamedTuple):
    """A failed event with everything that is kept of it."""

    view: FailedEventRow
    topic: str
    part: int
    position: int
    key: bytes | None
    raw: bytes | None
    sha256: bytes
    headers: Headers


async def page(
    tx: AsyncConnection, chosen: Chosen, *, before: tuple[datetime, UUID] | None, limit: int
) -> list[FailedEventRow]:
    """The newest first, older than `before`."""
    failed_at, before_id = before or (None, None)
    values = {**chosen.values(), "before": failed_at, "before_id": before_id, "limit": limit}
    return [FailedEventRow(*row) for row in await tx.execute(PAGE, values)]


async def groups(
    tx: AsyncConnection, chosen: Chosen, *, before: tuple[datetime, str] | None, limit: int
) -> list[GroupRow]:
    """The groups with the newest failure first."""
    last_seen, group = before or (None, None)
    values = {**chosen.values(), "before": last_seen, "before_group": group, "limit": limit}
    return [GroupRow(*row) for row in await tx.execute(GROUPS, values)]


async def find(tx: AsyncConnection, event_id: UUID) -> WholeRow | None:
    """One failed event."""
    row = (await tx.execute(ONE, {"id": event_id})).one_or_none()
    if row is None:
        return None
    *fields, headers = row
    count = len(FailedEventRow._fields)
    values = [FailedEventRow(*fields[:count]), *fields[count:], decode_headers(headers)]
    return WholeRow._make(values)
