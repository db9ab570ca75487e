"""Keeps the tracking plan in force compiled in memory: read anew when something was published.

A version never changes, so each is compiled once in the life of a process.
"""

import asyncio
import logging

from sqlalchemy.ext.asyncio import AsyncEngine

from services.ingest.domain.event_schema import EventSchema, compile_schema
from services.ingest.domain.tracking_plan import TrackingPlan, plan_of
from services.ingest.storage import event_schemas
from services.ingest.storage.event_schemas import InForce
from shared.errors import Infrastructure
from shared.postgres.transaction import transaction
from shared.runtime.waiting import wait

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.5
"""So that what is published holds everywhere within two seconds."""


class LiveTrackingPlan:
    """The plan in force, as this process knows it. Call it for the present one."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._heads: dict[str, int] | None = None
        self._compiled: dict[tuple[str, int], EventSchema] = {}
        self._current = TrackingPlan()

    def __call__(self) -> TrackingPlan:
        """The plan that was loaded last. Raises Infrastructure before the first load."""
        if self._heads is None:
            raise Infrastructure("postgres", "the tracking plan is not loaded yet")
        return self._current

    async def refresh(self) -> bool:
        """Load the plan if something was published; whether it was."""
        async with transaction(self._engine) as tx:
            heads = await event_schemas.heads(tx)
            if heads == self._heads:
                return False
            stored = await event_schemas.in_force(tx)
        self._current = plan_of(
            (schema, row.newest, row.pinned)
            for row in stored
            if (schema := self._compile(row)) is not None
        )
        kept = {(row.key, row.version) for row in stored}
        self._compiled = {key: one for key, one in self._compiled.items() if key in kept}
        self._heads = heads
        return True

    async def run(self, stopping: asyncio.Event) -> None:
        """Follow what is published until told to stop; what was loaded stays in force while
        PostgreSQL is away."""
        while not stopping.is_set():
            try:
                await self.refresh()
            except Infrastructure as error:
                logger.warning("tracking plan: again in %.1f s: %s", POLL_SECONDS, error)
            await wait(stopping, POLL_SECONDS)

    def _compile(self, row: InForce) -> EventSchema | None:
        """None, and said, for what another version of the program let pass."""
        known = self._compiled.get((row.key, row.version))
        if known is not None:
            return known
        try:
            made = compile_schema(row.key, row.version, row.schema)
        except ValueError as error:
            logger.error("schema %s/%d is not used: %s", row.key, row.version, error)
            return None
        self._compiled[row.key, row.version] = made
        return made
