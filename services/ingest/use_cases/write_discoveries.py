"""Writes what a worker has seen of event types and properties, beside the events and not with them.

Nothing of it is needed for an event to go on: while PostgreSQL is away it waits in memory. Any
other failure is a bug, and ends the process as one of any task does.
"""

import asyncio
import logging

from sqlalchemy.ext.asyncio import AsyncEngine

from services.ingest.domain.discovery import Discovery
from services.ingest.storage import discovery as stored
from shared.errors import Infrastructure
from shared.postgres.transaction import transaction
from shared.runtime.waiting import wait

logger = logging.getLogger(__name__)

WRITE_SECONDS = 1.0
MOST = 1_000
"""Types and properties in one transaction."""


class WriteDiscoveries:
    """Empties a process's Discovery into the tables."""

    def __init__(self, engine: AsyncEngine, discovery: Discovery) -> None:
        self._engine = engine
        self._discovery = discovery

    async def run(self, stopping: asyncio.Event) -> None:
        """Write every second until told to stop, and once more then.

        Infrastructure is tried again, everything else is raised.
        """
        while not stopping.is_set():
            await wait(stopping, WRITE_SECONDS)
            try:
                while await self.write():
                    pass
            except Infrastructure as error:
                logger.warning("discoveries: again in %.1f s: %s", WRITE_SECONDS, error)

    async def write(self) -> bool:
        """Write one batch; whether there may be more.

        Whatever it raises, Infrastructure or another, the batch is there for the next time.
        """
        seen = self._discovery.take(MOST)
        if not seen.types and not seen.properties:
            return False
        try:
            async with transaction(self._engine) as tx:
                await stored.write(tx, seen)
        except BaseException:
            self._discovery.put_back(seen)
            raise
        return max(len(seen.types), len(seen.properties)) == MOST
