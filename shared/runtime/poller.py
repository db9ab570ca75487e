"""The one loop that serves PostgreSQL's timers: claim what is due, fire it, at once again if full.

What is due is decided by the database's clock, inside the transaction that also holds the effect.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from shared.errors import ConcertError, Infrastructure
from shared.observability import metrics
from shared.runtime.waiting import wait

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.25
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0

Fire = Callable[[], Awaitable[int]]
"""Runs one transaction; returns how many timers fired, 0 when nothing is due."""


async def poll(fire: Fire, stopping: asyncio.Event) -> None:
    """Fire due timers until told to stop. A failure is tried again, later and later."""
    pause = FIRST_PAUSE
    while not stopping.is_set():
        try:
            fired = await fire()
        except Infrastructure as error:
            metrics.RETRIES.labels(failure="infrastructure").inc()
            logger.warning("timers: again in %.1f s: %s", pause, error)
        except ConcertError:
            raise
        except Exception:
            metrics.RETRIES.labels(failure="unknown").inc()
            logger.exception("timers: again in %.1f s", pause)
        else:
            pause = FIRST_PAUSE
            if not fired:
                await wait(stopping, POLL_SECONDS)
            continue
        await wait(stopping, pause)
        pause = min(pause * 2, LONGEST_PAUSE)
