"""The business clock of the deployment: what time it is for timers, windows, caps and expiries.

The functions live in the schema `clock`, which the deployment makes. Only a test deployment has
the two that shift the clock.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_READ = text(
    "SELECT shown, shown - clock_timestamp() AS ahead FROM (SELECT clock.now()) AS c (shown)"
)
_ADVANCE = text("SELECT clock.advance(CAST(:step AS interval))")
_RESET = text("SELECT clock.reset()")


@dataclass(frozen=True, slots=True)
class Clock:
    """The business time, and how far it is ahead of the real one."""

    now: datetime
    ahead: timedelta


async def read(tx: AsyncConnection) -> Clock:
    """What the clock shows; the real time in a deployment that cannot shift it."""
    row = (await tx.execute(_READ)).one()
    # Two clock readings a few microseconds apart: the difference is meant to be a shift.
    return Clock(row.shown, timedelta(seconds=round(row.ahead.total_seconds(), 1)))


async def advance(tx: AsyncConnection, step: timedelta) -> None:
    """Shift the clock forward, for everybody, when the transaction commits."""
    await tx.execute(_ADVANCE, {"step": step})


async def reset(tx: AsyncConnection) -> None:
    """Back to the real time, for everybody, when the transaction commits."""
    await tx.execute(_RESET)
