"""The loop of a process that works at jobs from a table, one at a time, each to its end."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from shared.errors import Infrastructure
from shared.observability import metrics
from shared.runtime.waiting import wait

logger = logging.getLogger(__name__)

PAUSE_SECONDS = 2.0


async def serve_jobs(
    serve_one: Callable[[asyncio.Event], Awaitable[bool]],
    stopping: asyncio.Event,
    *,
    every: float,
    what: str,
) -> None:
    """Serve jobs, `what` they are called in the log, until told to stop; what they need may be away
    meanwhile. `serve_one` says whether there was one; where none was, the next look is after so
    many seconds."""
    while not stopping.is_set():
        try:
            served = await serve_one(stopping)
        except Infrastructure as error:
            metrics.RETRIES.labels(failure="infrastructure").inc()
            logger.warning("%s: again in %.0f s: %s", what, PAUSE_SECONDS, error)
            await wait(stopping, PAUSE_SECONDS)
        else:
            if not served:
                await wait(stopping, every)
