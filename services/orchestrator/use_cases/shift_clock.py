"""Shift the business clock of a test deployment: hours of waiting pass in a moment."""

from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncEngine

from services.orchestrator.storage import business_clock
from services.orchestrator.storage.business_clock import Clock
from shared.postgres import audit
from shared.postgres.transaction import transaction

KIND = "test_clock"
KEY = "clock"


async def shift_clock(engine: AsyncEngine, step: timedelta | None, *, who: audit.Who) -> Clock:
    """What the clock shows after going forward by `step`, or back to the real time (None).

    Only for a deployment that was made with a clock that can be shifted.
    """
    async with transaction(engine) as tx:
        before = await business_clock.read(tx)
        if step is None:
            await business_clock.reset(tx)
        else:
            await business_clock.advance(tx, step)
        after = await business_clock.read(tx)
        await audit.append(
            tx,
            who=who,
            kind=KIND,
            key=KEY,
            action="reset" if step is None else "advance",
            before={"ahead_seconds": before.ahead.total_seconds()},
            after={"ahead_seconds": after.ahead.total_seconds()},
        )
        return after
