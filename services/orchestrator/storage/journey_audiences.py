"""The audience events by which people were let into journeys."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_PUT = text(
    """
    INSERT INTO journey_audience (journey, at, touchpoint_id)
    SELECT :journey, CAST(:at AS timestamptz), CAST(:event AS uuid)
     WHERE NOT EXISTS (SELECT FROM journey_audience
                        WHERE journey = :journey AND touchpoint_id = CAST(:event AS uuid))
    ON CONFLICT DO NOTHING
    """
)
_PAGE = text(
    """
    SELECT at, touchpoint_id FROM journey_audience
     WHERE journey = :journey AND (at, touchpoint_id) < (:at, :event)
     ORDER BY at DESC, touchpoint_id DESC LIMIT :limit
    """
)


@dataclass(frozen=True, slots=True)
class LetIn:
    """The touchpoint of an audience event, and when it was due."""

    at: datetime
    touchpoint_id: UUID


async def put(tx: AsyncConnection, journey: str, at: datetime, event: UUID) -> None:
    """Note that an audience is let in; a second time changes nothing."""
    await tx.execute(_PUT, {"journey": journey, "at": at, "event": event})


async def page(
    tx: AsyncConnection, journey: str, *, before: tuple[datetime, UUID], limit: int
) -> list[LetIn]:
    """At most `limit` of them, newest first."""
    at, event = before
    values = {"journey": journey, "at": at, "event": event, "limit": limit}
    return [LetIn(row.at, row.touchpoint_id) for row in await tx.execute(_PAGE, values)]
