"""`/v1/audience-events`: events that name no person, and how far they came on their way to all."""

from typing import Annotated
from uuid import UUID

import msgspec

from services.profile.api.profiles import Reader
from services.profile.api.schemas import AudienceEventView
from services.profile.storage import audience_jobs
from services.profile.storage.audience_jobs import Progress
from services.profile.use_cases.cancel_audience_event import cancel_audience_event
from shared.access import Permission
from shared.conditions.audience import read_audience
from shared.conditions.sentence import sentence
from shared.errors import NotFound
from shared.http.auth import Principal, requires
from shared.http.masking import may_see
from shared.http.pagination import Page, Paged, instant, split_page
from shared.http.state import Engine
from shared.http.strict_json import api_router
from shared.observability.masking import MASK
from shared.postgres.transaction import transaction

router = api_router(tags=["audience events"])

PATH = "/v1/audience-events"
Editor = Annotated[Principal, requires(Permission.EDIT)]


@router.get(PATH)
async def list_audience_events(
    engine: Engine, paging: Paged, principal: Reader
) -> Page[AudienceEventView]:
    """Events that carried an audience, newest first."""
    async with transaction(engine) as tx:
        rows = await audience_jobs.newest(
            tx, limit=paging.limit + 1, before=paging.after(instant, UUID)
        )
    shown, cursor = split_page(rows, paging, lambda row: (row.created_at, row.touchpoint_id))
    return Page(items=[_view(row, principal) for row in shown], next_cursor=cursor)


@router.get(PATH + "/{touchpoint_id}")
async def get_audience_event(
    touchpoint_id: UUID, engine: Engine, principal: Reader
) -> AudienceEventView:
    """One of them, by the id of its touchpoint; 404 while that has not been applied."""
    async with transaction(engine) as tx:
        found = await audience_jobs.read(tx, str(touchpoint_id))
    if found is None:
        raise NotFound(f"there is no event {touchpoint_id} with an audience")
    return _view(found, principal)


@router.post(PATH + "/{touchpoint_id}:cancel")
async def cancel_audience(
    touchpoint_id: UUID, engine: Engine, principal: Editor
) -> AudienceEventView:
    """Go no further: who has the event keeps it. 409 when it has ended already."""
    return _view(await cancel_audience_event(engine, touchpoint_id, principal.who), principal)


def _view(job: Progress, principal: Principal) -> AudienceEventView:
    hide = not may_see(principal)
    return AudienceEventView(
        id=job.touchpoint_id,
        event=job.message_id,
        source=job.source,
        type=job.type,
        audience=MASK if hide else _in_words(job.condition),
        status=job.status,
        examined=job.examined,
        of=job.of,
        matched=job.matched,
        left_out=job.left_out,
        created_at=job.created_at,
        started_at=job.started_at,
        finished_at=job.finished_at,
        error=job.error,
    )


def _in_words(condition: bytes) -> str:
    """What the condition says; the condition itself where no member can be told by it."""
    found = read_audience(msgspec.json.decode(condition), [])
    return condition.decode() if found is None else sentence(found)
