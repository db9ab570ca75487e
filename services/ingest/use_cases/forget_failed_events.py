"""Deletes failed events that nobody will correct any more, a bounded batch at a time."""

import asyncio
import logging
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncEngine

from services.ingest.storage import failed_events
from shared import clock
from shared.errors import Infrastructure
from shared.postgres.transaction import transaction
from shared.runtime.waiting import wait

logger = logging.getLogger(__name__)

BATCH = 1000
EVERY_SECONDS = 60.0


async def forget_failed_events(engine: AsyncEngine, keep: timedelta) -> int:
    """Delete at most BATCH that failed longer ago than `keep`; 0 when none is left."""
    async with transaction(engine) as tx:
        return await failed_events.forget(tx, before=clock.now() - keep, limit=BATCH)


class Retention:
    """The task that does so for as long as a process runs."""

    def __init__(self, engine: AsyncEngine, keep: timedelta) -> None:
        self._engine = engine
        self._keep = keep

    async def run(self, stopping: asyncio.Event) -> None:
        """Look every minute, and at once again after a full batch."""
        while not stopping.is_set():
            deleted = 0
            try:
                deleted = await forget_failed_events(self._engine, self._keep)
            except Infrastructure as error:
                logger.warning("failed events could not be forgotten: %s", error)
            if deleted < BATCH:
                await wait(stopping, EVERY_SECONDS)
