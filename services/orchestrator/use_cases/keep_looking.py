"""Looks at all experiments once an hour, and forgets what no read-out needs any more."""

import asyncio
import logging

from sqlalchemy.ext.asyncio import AsyncEngine

from services.orchestrator.storage import exposures, timers
from services.orchestrator.use_cases.change_experiment import look_at_experiments
from shared.errors import Infrastructure
from shared.postgres.transaction import transaction
from shared.runtime.waiting import wait

logger = logging.getLogger(__name__)

SECONDS = 3_600.0
SOON = 60.0
DROPPED_AT_ONCE = 10_000


async def keep_looking(engine: AsyncEngine, stopping: asyncio.Event) -> None:
    """Stop what does harm and apply what has won, until told to stop. Of several processes each
    looks: what one did is seen by the next."""
    while not stopping.is_set():
        try:
            async with transaction(engine) as tx:
                dropped = await exposures.drop_old(tx, await timers.now(tx), DROPPED_AT_ONCE)
            await look_at_experiments(engine)
        except Infrastructure as error:
            logger.warning("experiments: again in %.0f s: %s", SOON, error)
            dropped = DROPPED_AT_ONCE
        await wait(stopping, SECONDS if dropped < DROPPED_AT_ONCE else SOON)
