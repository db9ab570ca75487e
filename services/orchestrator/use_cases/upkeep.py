"""What the poller does beside its timers, now and then: it measures, sums up and forgets."""

import asyncio

from sqlalchemy.ext.asyncio import AsyncEngine

from services.orchestrator.storage import journey_runs, runs, slots, timers
from services.orchestrator.use_cases.low_water import LowWater
from shared import clock
from shared.errors import Infrastructure
from shared.observability import metrics
from shared.postgres.transaction import transaction
from shared.runtime.waiting import wait

MEASURE_SECONDS = 2.0
TIMES_AS_LONG = 20
"""Where counting takes long, as many times as long passes until the next time: what has fired has
to be walked over while anybody's snapshot is open."""
SUM_UP_SECONDS = 60.0
EXPIRED_AT_ONCE = 1_000


async def keep_measuring(engine: AsyncEngine, low: LowWater, stopping: asyncio.Event) -> None:
    """Show how many timers wait and how many are late, and how many runs do not go on."""
    while not stopping.is_set():
        began = clock.monotonic_seconds()
        try:
            async with transaction(engine) as tx:
                waiting, overdue = await timers.count(tx, low.mark)
                stuck = await journey_runs.stuck(tx)
        except Infrastructure:
            await wait(stopping, MEASURE_SECONDS)  # the poller itself says that PostgreSQL is away
            continue
        metrics.TIMERS_PENDING.set(waiting)
        metrics.TIMERS_OVERDUE.set(overdue)
        metrics.RUNS_STUCK.set(stuck)
        took = clock.monotonic_seconds() - began
        await wait(stopping, max(MEASURE_SECONDS, TIMES_AS_LONG * took))


async def sum_up_counts(engine: AsyncEngine, stopping: asyncio.Event) -> None:
    """Keep the counts of journeys short to read."""
    while not stopping.is_set():
        try:
            async with transaction(engine) as tx:
                await runs.sum_up(tx)
        except Infrastructure:
            pass  # the poller itself says that PostgreSQL is away
        await wait(stopping, SUM_UP_SECONDS)


async def drop_expired_answers(engine: AsyncEngine, stopping: asyncio.Event) -> None:
    """Delete kept answers whose time is up; of somebody unknown nothing else is left then."""
    while not stopping.is_set():
        try:
            async with transaction(engine) as tx:
                dropped = await slots.drop_expired(tx, EXPIRED_AT_ONCE)
        except Infrastructure:
            dropped = 0  # the poller itself says that PostgreSQL is away
        if dropped < EXPIRED_AT_ONCE:
            await wait(stopping, MEASURE_SECONDS)
