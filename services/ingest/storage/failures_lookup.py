"""Finds an event among the failed ones by its publisher's id: for receipts."""

from collections.abc import Sequence

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.ingest.domain.receipt import Failed

_LATEST = text(
    """
    SELECT source, reason, message FROM failed_event
     WHERE source = ANY (CAST(:sources AS text[])) AND event_id = :event_id
     ORDER BY failed_at DESC, id DESC LIMIT 1
    """
)


async def latest_failure(
    tx: AsyncConnection, sources: Sequence[str], event_id: str
) -> Failed | None:
    """The last failure of a publisher's event; None if no copy of it failed.

    `sources` are the names it can lie under: its source's id, the `source` of its CloudEvent.
    """
    row = (
        await tx.execute(_LATEST, {"sources": list(sources), "event_id": event_id})
    ).one_or_none()
    return None if row is None else Failed(row.source, row.reason, row.message)
