"""`/v1/journeys`: edited as a draft, published as a version that runs go by, entered."""

from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from services.orchestrator.api.deliveries import EventView, IdempotencyKey
from services.orchestrator.api.journey_views import (
    ArchiveRequest,
    AudienceProgressView,
    AudiencesView,
    EnterAudienceRequest,
    EnterRequest,
    JourneyPublishRequest,
    LetInView,
    PreviewView,
    ResumeRequest,
    affected_view,
    preview_view,
    rate_of,
)
from services.orchestrator.api.profile_client import ProfileClient
from services.orchestrator.connectors.profile_definitions import ProfileDefinitions
from services.orchestrator.storage import (
    journey_audiences,
    journey_leaves,
    run_sweeps,
    schedules,
)
from services.orchestrator.storage.draft_kind import Kind
from services.orchestrator.use_cases.change_journey import (
    archive_journey,
    resume_journey,
)
from services.orchestrator.use_cases.change_status import change_status
from services.orchestrator.use_cases.let_in import Entrance, LetIn, let_in
from services.orchestrator.use_cases.preview_journey import preview_journey
from services.orchestrator.use_cases.publish_draft import publish_draft
from services.orchestrator.use_cases.save_draft import save_draft
from services.orchestrator.use_cases.unseen import TraitClasses, audience_of, refuse_unseen
from services.orchestrator.use_cases.validate_draft import validate_draft
from services.orchestrator.use_cases.wished import Wish
from shared.access import Permission
from shared.contracts.topics import OWN_SOURCE, Topics
from shared.http.auth import Principal, requires
from shared.http.draft_routes import Key, Publisher, Reader, add_drafting, add_reading
from shared.http.drafts import NEWEST, DraftView, draft_view
from shared.http.etag import IfMatch, check_if_match
from shared.http.masking import may_see
from shared.http.pagination import Paged, instant, split_page
from shared.http.state import Engine
from shared.http.strict_json import api_router
from shared.kafka.messages import PartitionCounts
from shared.postgres import drafts
from shared.postgres.drafts import Draft
from shared.postgres.transaction import transaction

PATH = "/v1/journeys"
AUDIENCES_AT_ONCE = 20
LAST = (datetime.max.replace(tzinfo=UTC), UUID(int=2**128 - 1))


def journeys_router(
    definitions: ProfileDefinitions,
    profiles: ProfileClient,
    topics: Topics,
    counts: PartitionCounts,
) -> APIRouter:
    """The routes; event leaves are registered at the profile service, which also knows who there
    is and how far an audience came. `topics` and `counts` say where events go."""
    router = api_router(tags=["journeys"])
    _add_publishing(router, definitions)
    _add_status_changes(router)
    _add_entering(router, profiles, definitions, topics, counts)
    add_reading(router, Kind.JOURNEY, PATH, named="journey", more=_more)
    validate = partial(validate_draft, definitions=definitions)
    add_drafting(router, Kind.JOURNEY, PATH, save=save_draft, validate=validate)
    return router


async def _more(tx: AsyncConnection, draft: Draft) -> dict[str, Any]:
    """Whether the live version waits until its event leaves are counted, and what all runs are
    being told."""
    telling = await run_sweeps.under_way(tx, draft.key)
    return {
        "warming": await journey_leaves.is_warming(tx, draft.key),
        "telling": [{"what": kind, "runs": done} for kind, done in telling],
    }


def _add_publishing(router: APIRouter, definitions: ProfileDefinitions) -> None:
    @router.get(PATH + "/{key}:preview")
    async def preview(
        key: Key,
        engine: Engine,
        _: Reader,
        version: Annotated[int | None, Query(ge=1, le=NEWEST)] = None,
        version_policy: Annotated[Literal["pin", "follow_live"] | None, Query()] = None,
    ) -> PreviewView:
        """Who would be affected by `:publish`, and where they stand: of the draft, or of an earlier
        `version` once more."""
        wish = Wish(version, version_policy)
        journey, affected = await preview_journey(engine, key, wish)
        return preview_view(key, journey.version_policy, list(affected))

    @router.post(PATH + "/{key}:publish", name="publish_journey")
    async def publish(
        key: Key,
        engine: Engine,
        response: Response,
        principal: Publisher,
        body: JourneyPublishRequest | None = None,
        if_match: IfMatch = None,
    ) -> DraftView:
        """Make the draft, or an earlier version once more, the next version: people enter it within
        two seconds, or once what it counts is counted (`warming` until then). `affected` says what
        becomes of the runs under way. What is live already makes no new version: `unchanged`. A
        paused journey stays paused."""
        asked = body or JourneyPublishRequest()
        published = await publish_draft(
            engine,
            Kind.JOURNEY,
            key,
            register=definitions.register_leaves,
            may_replace=partial(check_if_match, if_match),
            who=principal.who,
            wish=Wish(asked.version, asked.version_policy),
        )
        view = draft_view(published.draft, response)
        if not published.is_new:
            return view.model_copy(update={"unchanged": True})
        return view.model_copy(update={"affected": affected_view(published.affected)})


def _add_status_changes(router: APIRouter) -> None:
    @router.post(PATH + "/{key}:pause", name="pause_journey")
    async def pause(
        key: Key, engine: Engine, response: Response, principal: Publisher
    ) -> DraftView:
        """No run takes a step until `:resume`; reasons to leave act all the same."""
        return draft_view(
            await change_status(engine, Kind.JOURNEY, key, "pause", who=principal.who), response
        )

    @router.post(PATH + "/{key}:resume", name="resume_journey")
    async def resume(
        key: Key,
        engine: Engine,
        response: Response,
        principal: Publisher,
        body: ResumeRequest | None = None,
    ) -> DraftView:
        """Let the runs go on: all at once, or at a rate."""
        rate = rate_of((body or ResumeRequest()).rate)
        return draft_view(await resume_journey(engine, key, rate, who=principal.who), response)

    @router.post(PATH + "/{key}:archive", name="archive_journey")
    async def archive(
        key: Key,
        engine: Engine,
        response: Response,
        principal: Publisher,
        body: ArchiveRequest | None = None,
    ) -> DraftView:
        """Nobody enters any more. The runs go on to their end, or are stopped."""
        stop = (body or ArchiveRequest()).runs == "stop"
        archived = await archive_journey(engine, key, stop_runs=stop, who=principal.who)
        return draft_view(archived, response)


def _add_entering(
    router: APIRouter,
    profiles: ProfileClient,
    definitions: TraitClasses,
    topics: Topics,
    counts: PartitionCounts,
) -> None:
    @router.post(PATH + "/{key}:enter", status_code=202)
    async def enter(
        key: Key,
        body: EnterRequest,
        engine: Engine,
        principal: Annotated[Principal, requires(Permission.SERVE)],
        idempotency_key: IdempotencyKey = None,
    ) -> EventView:
        """Let one person into a journey with an entry of type `api`; whether they may is seen when
        the event is applied."""
        await profiles.read(body.profile_id, masked=True)
        entrance = Entrance(profile_id=body.profile_id, event=body.event, key=idempotency_key)
        return _event_view(
            await let_in(engine, key, entrance, who=principal.who, topics=topics, counts=counts)
        )

    @router.post(PATH + "/{key}:enter-audience", status_code=202)
    async def enter_audience(
        key: Key,
        body: EnterAudienceRequest,
        engine: Engine,
        principal: Publisher,
        idempotency_key: IdempotencyKey = None,
    ) -> EventView:
        """Let everybody of an audience into a journey with an entry of type `api`, once. An
        audience by personal data that you may not read is refused: how many it has would tell."""
        if not may_see(principal):
            await refuse_unseen(audience_of(body.audience), definitions)
        entrance = Entrance(audience=body.audience, event=body.event, key=idempotency_key)
        return _event_view(
            await let_in(engine, key, entrance, who=principal.who, topics=topics, counts=counts)
        )

    @router.get(PATH + "/{key}/audiences")
    async def list_audiences(key: Key, engine: Engine, paging: Paged, _: Reader) -> AudiencesView:
        """The audiences that were let in, newest first, and how far each of them came; one that is
        still on its way is cancelled at the profile service."""
        before = paging.after(instant, UUID) or LAST
        limit = min(paging.limit, AUDIENCES_AT_ONCE)
        async with transaction(engine) as tx:
            drafts.there(await drafts.find(tx, Kind.JOURNEY, key), "journey", key)
            next_at = await schedules.next_due(tx, Kind.JOURNEY, key)
            rows = await journey_audiences.page(
                tx, key, before=(before[0], before[1]), limit=limit + 1
            )
        shown, cursor = split_page(
            rows, paging._replace(limit=limit), lambda row: (row.at, row.touchpoint_id)
        )
        items = []
        for one in shown:
            found = await profiles.audience_progress(one.touchpoint_id)
            progress = None if found is None else AudienceProgressView.model_validate(found)
            items.append(LetInView(at=one.at, touchpoint_id=one.touchpoint_id, progress=progress))
        return AudiencesView(next_at=next_at, items=items, next_cursor=cursor)


def _event_view(event: LetIn) -> EventView:
    return EventView(id=event.message_id, source=OWN_SOURCE, touchpoint_id=event.touchpoint_id)
