"""Resume or archive a journey, and say what becomes of its runs."""

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.orchestrator.storage import run_sweeps, runs
from services.orchestrator.storage.draft_kind import Kind
from services.orchestrator.use_cases.change_status import change_status
from services.orchestrator.use_cases.sweep_runs import RELEASE_LINE
from shared.conditions.duration import format_duration
from shared.postgres import audit
from shared.postgres.drafts import Draft


@dataclass(frozen=True, slots=True)
class Rate:
    """So many runs in each period, evenly spaced."""

    limit: int
    per: timedelta


async def resume_journey(
    engine: AsyncEngine, key: str, rate: Rate | None, *, who: audit.Who
) -> Draft:
    """The journey, whose runs go on: as soon as they can be told, or at a rate. Raises as
    `change_status`."""

    async def also(tx: AsyncConnection) -> None:
        await runs.empty_line(tx, (key, RELEASE_LINE))  # an earlier rate does not hold any more
        step = None if rate is None else rate.per / rate.limit
        await run_sweeps.add(tx, key, "resumed", step)

    asked = None
    if rate is not None:
        asked = {"rate": {"limit": rate.limit, "per": format_duration(rate.per)}}
    return await change_status(engine, Kind.JOURNEY, key, "resume", who=who, asked=asked, also=also)


async def archive_journey(
    engine: AsyncEngine, key: str, *, stop_runs: bool, who: audit.Who
) -> Draft:
    """The journey, which nobody enters any more. Its runs go on to their end, unless they are to
    be stopped; that may be said later too. Raises as `change_status`."""

    async def also(tx: AsyncConnection) -> None:
        if stop_runs:
            await run_sweeps.add(tx, key, "stopped")

    asked = {"runs": "stop"} if stop_runs else None
    return await change_status(
        engine, Kind.JOURNEY, key, "archive", who=who, asked=asked, also=also, again=stop_runs
    )
