"""`/v1/failed-events`: what could not be read, in pages and groups; corrected and replayed.

Who may not see personal data gets messages and payloads masked. `:replay` and `:discard` need a
filter that names something, and take at most 10,000 events a call, the oldest first.
"""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from services.ingest.api.failed_event_views import (
    FailedEventDetail,
    FailedEventView,
    GroupView,
    ReplayAnswer,
    detail_of,
    group_of,
    replay_answer,
    view_of,
)
from services.ingest.api.viewers import viewer_of
from services.ingest.domain.failed_event import Status
from services.ingest.domain.recovery import MAX_PATH, MAX_STEPS, Step, Target, is_path
from services.ingest.storage import failed_views
from services.ingest.storage.failed_views import Chosen
from services.ingest.storage.registry import Registry
from services.ingest.use_cases.discard_failed_events import discard_failed_events
from services.ingest.use_cases.replay_failed_events import Replayer
from shared.access import Permission
from shared.errors import NotFound
from shared.http.auth import Principal, requires
from shared.http.pagination import Page, Paged, instant, split_page, words
from shared.http.state import Engine
from shared.http.strict_json import api_router
from shared.postgres.transaction import transaction

Reader = Annotated[Principal, requires(Permission.READ)]
Operator = Annotated[Principal, requires(Permission.OPERATE)]

Source = Annotated[str, Field(min_length=1, max_length=256, pattern=r"^[^\x00]+$")]
Reason = Annotated[str, Field(pattern=r"^[a-z_]{1,64}$")]
Fingerprint = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
StepPath = Annotated[
    str, Field(min_length=1, max_length=MAX_PATH, description="As `properties.items[*].price`.")
]
MAX_IDS = 1000


def _listed(
    source: Annotated[Source | None, Query()] = None,
    reason: Annotated[Reason | None, Query()] = None,
    fingerprint: Annotated[Fingerprint | None, Query()] = None,
    status: Annotated[Status | None, Query()] = None,
    since: Annotated[AwareDatetime | None, Query(description="Failed then or later.")] = None,
) -> Chosen:
    return Chosen(None, source, reason, fingerprint, status, since)


Listed = Annotated[Chosen, Depends(_listed)]
"""What a list is narrowed to."""


class Filter(BaseModel):
    """Which failed events are meant: all that is named must hold, and something has to be."""

    model_config = ConfigDict(extra="forbid")

    ids: list[UUID] | None = Field(None, min_length=1, max_length=MAX_IDS)
    source: Source | None = None
    reason: Reason | None = None
    fingerprint: Fingerprint | None = None
    since: AwareDatetime | None = None
    status: Status = "new"

    @model_validator(mode="after")
    def _names_something(self) -> "Filter":
        if not self.model_dump(exclude={"status"}, exclude_none=True):
            raise ValueError("name at least one of ids, source, reason, fingerprint, since")
        return self

    def chosen(self) -> Chosen:
        """As the storage knows it."""
        return Chosen(**self.model_dump())


class StepRequest(BaseModel):
    """One correction. `replace` needs `value`, `cast` needs `to`, `remove` neither."""

    model_config = ConfigDict(extra="forbid")

    op: Literal["replace", "remove", "cast"]
    path: StepPath
    value: object = None
    to: Target | None = None

    @model_validator(mode="after")
    def _fits_its_op(self) -> "StepRequest":
        if not is_path(self.path):
            raise ValueError(f"{self.path!r} is no path such as properties.items[0].price")
        given = self.model_fields_set - {"op", "path"}
        needed = {"replace": {"value"}, "remove": set[str](), "cast": {"to"}}[self.op]
        if given != needed or (self.op == "cast" and self.to is None):
            wanted = " and ".join(sorted(needed)) or "nothing else"
            raise ValueError(f"{self.op} takes path and {wanted}")
        return self

    def step(self) -> Step:
        """As the domain knows it."""
        return Step(**self.model_dump())


class ReplayRequest(BaseModel):
    """What to replay and how to correct it before. Try it with `dry_run` first."""

    model_config = ConfigDict(extra="forbid")

    filter: Filter
    steps: list[StepRequest] = Field(default_factory=list, max_length=MAX_STEPS)
    dry_run: bool = False


class DiscardRequest(BaseModel):
    """What is of no use any more."""

    model_config = ConfigDict(extra="forbid")

    filter: Filter


class DiscardAnswer(BaseModel):
    """How many failed events were discarded; call again while it is not 0."""

    discarded: int


def failed_events_router(replayer: Replayer, registry: Registry) -> APIRouter:
    """The routes."""
    router = api_router(tags=["failed events"])
    _reading(router, registry)

    @router.post("/v1/failed-events:replay")
    async def replay_failed(body: ReplayRequest, principal: Operator) -> ReplayAnswer:
        """Correct events and publish them anew; with `dry_run`, only say what that would do."""
        steps = [step.step() for step in body.steps]
        if body.dry_run:
            outcome = await replayer.try_out(body.filter.chosen(), steps)
        else:
            outcome = await replayer.replay(body.filter.chosen(), steps, principal.who)
        viewer = await viewer_of(principal, registry)
        return replay_answer(outcome, viewer, dry_run=body.dry_run)

    @router.post("/v1/failed-events:discard")
    async def discard_failed(
        body: DiscardRequest, engine: Engine, principal: Operator
    ) -> DiscardAnswer:
        """Say that nobody will correct these events; they are deleted with their age."""
        count = await discard_failed_events(engine, body.filter.chosen(), principal.who)
        return DiscardAnswer(discarded=count)

    return router


def _reading(router: APIRouter, registry: Registry) -> None:
    @router.get("/v1/failed-events")
    async def list_failed_events(
        engine: Engine,
        paging: Paged,
        chosen: Listed,
        principal: Reader,
    ) -> Page[FailedEventView]:
        """Failed events without their payloads, the newest failure first."""
        after = paging.after(instant, UUID)
        async with transaction(engine) as tx:
            rows = await failed_views.page(
                tx,
                chosen,
                before=None if after is None else (after[0], after[1]),
                limit=paging.limit + 1,
            )
        shown, cursor = split_page(rows, paging, lambda row: (row.failed_at, row.id))
        viewer = await viewer_of(principal, registry)
        return Page(items=[view_of(row, viewer) for row in shown], next_cursor=cursor)

    @router.get("/v1/failed-events/groups")
    async def list_groups(
        engine: Engine,
        paging: Paged,
        chosen: Listed,
        _: Reader,
    ) -> Page[GroupView]:
        """Failed events with the same mistake together, the one that was last seen first."""
        after = paging.after(instant, words)
        async with transaction(engine) as tx:
            rows = await failed_views.groups(
                tx,
                chosen,
                before=None if after is None else (after[0], after[1]),
                limit=paging.limit + 1,
            )
        shown, cursor = split_page(rows, paging, lambda row: (row.last_seen, row.fingerprint))
        return Page(items=[group_of(row) for row in shown], next_cursor=cursor)

    @router.get("/v1/failed-events/{event_id}")
    async def get_failed_event(
        event_id: UUID, engine: Engine, principal: Reader
    ) -> FailedEventDetail:
        """One failed event as it came; masked for who may not see personal data."""
        async with transaction(engine) as tx:
            row = await failed_views.find(tx, event_id)
        if row is None:
            raise NotFound(f"There is no failed event {event_id}; it may have been forgotten.")
        return detail_of(row, await viewer_of(principal, registry))
