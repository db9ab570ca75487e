"""`/v1/touchpoints/{id}` and `/v1/touchpoint-counters/{source}`: what became of what was sent."""

from typing import Annotated
from uuid import UUID

from fastapi import Path

from services.profile.api.profiles import Reader
from services.profile.api.schemas import AudienceProgress, CountersView, FateView
from services.profile.domain.audience import AUDIENCE
from services.profile.storage import audience_jobs, counters
from services.profile.use_cases.read_profile import read_fate
from shared.errors import Malformed
from shared.http.state import Engine
from shared.http.strict_json import api_router
from shared.postgres.transaction import transaction

router = api_router(tags=["touchpoints"])

MAX_SOURCE = 256


@router.get("/v1/touchpoints/{touchpoint_id}")
async def get_touchpoint(touchpoint_id: UUID, engine: Engine, _: Reader) -> FateView:
    """What became of a touchpoint; 404 while it has not been applied."""
    async with transaction(engine) as tx:
        fate = await read_fate(tx, str(touchpoint_id))
        job = None
        if fate.reason == AUDIENCE:
            job = await audience_jobs.read(tx, str(touchpoint_id))
    progress = None if job is None else AudienceProgress.model_validate(job, from_attributes=True)
    return FateView(id=str(touchpoint_id), audience=progress, **fate._asdict())


@router.get("/v1/touchpoint-counters/{source:path}")
async def get_counters(
    source: Annotated[str, Path(max_length=MAX_SOURCE)], engine: Engine, _: Reader
) -> CountersView:
    """What was counted of a source since the beginning; zeros for one that sent nothing."""
    if "\0" in source:
        raise Malformed("A source holds no U+0000.")
    async with transaction(engine) as tx:
        counted = await counters.read(tx, source)
    return CountersView(**counted._asdict())
