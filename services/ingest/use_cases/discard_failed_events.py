"""Discards failed events: they stay for the record until they are forgotten, and are not new."""

from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from services.ingest.storage import replays
from services.ingest.storage.failed_views import Chosen
from shared import ids
from shared.postgres import audit
from shared.postgres.audit import Who
from shared.postgres.transaction import transaction

MOST = 10_000
"""Failed events that one call may change."""


async def discard_failed_events(engine: AsyncEngine, chosen: Chosen, who: Who) -> int:
    """How many were discarded, the oldest first, at most MOST."""
    async with transaction(engine) as tx:
        count = await replays.discard(tx, chosen, limit=MOST)
        await audit.append(
            tx,
            who=who,
            kind="failed_events",
            key=str(ids.random_id()),
            action="discard",
            after={"filter": described(chosen), "discarded": count},
        )
    return count


def described(chosen: Chosen) -> dict[str, Any]:
    """What was asked for, without what was left open."""
    return {name: value for name, value in chosen._asdict().items() if value is not None}
