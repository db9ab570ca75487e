"""The one loop that serves what waits in PostgreSQL, timers and jobs: claim what is due, fire it,
at once again if full.

What is due is decided by the database's clock, inside the transaction that also holds the effect.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from shared.errors import Infrastructure
from shared.observability import metrics
from shared.runtime.waiting import wait

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.25
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
MANY = 200
TRIES = 3

Fire = Callable[[int], Awaitable[int]]
"""Fires at most so many timers in one transaction; returns how many, 0 when nothing is due."""
Postpone = Callable[[], Awaitable[None]]
"""Puts the first due timer off for some minutes."""


async def poll(
    fire: Fire, postpone: Postpone, stopping: asyncio.Event, *, what: str = "timers"
) -> None:
    """Fire due timers until told to stop; `what` they are called in the log.

    Infrastructure is tried again, later and later. After an unknown failure timers are fired one
    by one; one that fails three times alone is put off and said, so that the others are served.
    """
    pause, limit, failures = FIRST_PAUSE, MANY, 0
    while not stopping.is_set():
        try:
            if failures > TRIES:
                await postpone()
                failures = 0
            fired = await fire(limit)
        except Infrastructure as error:
            metrics.RETRIES.labels(failure="infrastructure").inc()
            logger.warning("%s: again in %.1f s: %s", what, pause, error)
            await wait(stopping, pause)
            pause = min(pause * 2, LONGEST_PAUSE)
        except Exception:  # a bug in one timer: it is logged, tried alone, then put off
            metrics.RETRIES.labels(failure="unknown").inc()
            logger.exception("%s: %d together failed", what, limit)
            failures, limit = failures + 1, 1
            await wait(stopping, FIRST_PAUSE)
        else:
            pause, failures, limit = FIRST_PAUSE, 0, min(limit * 2, MANY)
            if not fired:
                await wait(stopping, POLL_SECONDS)
