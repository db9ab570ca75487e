"""Reads which touches have the credit for a journey's goal in a period."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from services.orchestrator.domain.journeys.attribution import Attribution, Model, attribution_of
from services.orchestrator.storage import attribution, timers
from services.orchestrator.storage.draft_kind import Kind
from shared.errors import Problem, Unprocessable
from shared.postgres import drafts

USUAL = timedelta(days=30)
LONGEST = timedelta(days=92)
MOST = 10_000
"""So many conversions are looked at in one question."""


@dataclass(frozen=True, slots=True)
class Read:
    """What was found, and for which period."""

    starts: datetime
    ends: datetime
    attribution: Attribution


async def read_attribution(
    tx: AsyncConnection,
    key: str,
    model: Model,
    *,
    starts: datetime | None,
    ends: datetime | None,
    most: int = MOST,
) -> Read:
    """The credit for the conversions that were counted from `starts` (30 days before the end, if it
    is not said) until before `ends` (now).

    Raises NotFound without the journey; Unprocessable for a period that is none, is longer than 92
    days, or has more than `most` conversions.
    """
    drafts.there(await drafts.find(tx, Kind.JOURNEY, key), "journey", key)
    ends = await timers.now(tx) if ends is None else ends
    starts = ends - USUAL if starts is None else starts
    if not timedelta(0) < ends - starts <= LONGEST:
        problem = Problem("from", "period", "has to be before `to`, by at most 92 days")
        raise Unprocessable("The period is none.", [problem])
    counted = await attribution.credits_of(tx, key, model, starts=starts, ends=ends, most=most + 1)
    found = attribution_of(counted)
    if found.conversions > most:
        shorter = f"has more than {most:,} conversions: ask for shorter ones, and add them up"
        raise Unprocessable("The period is too long.", [Problem("from", "too_many", shorter)])
    return Read(starts, ends, found)
