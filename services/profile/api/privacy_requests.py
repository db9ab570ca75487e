"""`/v1/privacy-requests`: what the law gives a person: to see, to correct, and to be forgotten."""

from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Query, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field, model_validator
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.profile.api.identity_schemas import IdentifierBody
from services.profile.api.profiles import as_stored
from services.profile.api.state import ApiState, State
from services.profile.storage import privacy_exports, privacy_requests
from services.profile.storage.privacy_requests import NEWEST, Request
from services.profile.use_cases.request_privacy import Correction, download, rectify, request
from shared.access import Permission
from shared.contracts.times import rfc3339
from shared.errors import NotFound
from shared.http.auth import Principal, requires
from shared.http.pagination import Page, Paged, instant, split_page
from shared.http.state import Engine
from shared.http.strict_json import api_router
from shared.postgres.transaction import transaction

router = api_router(tags=["privacy"])

PrivacyOfficer = Annotated[Principal, requires(Permission.PRIVACY)]
MAX_CORRECTIONS = 200


class PrivacyBody(BaseModel):
    """What is asked for. Corrections need a `reason`; `suppress` belongs to an erasure."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["erasure", "access", "rectification"]
    profile_id: UUID
    suppress: bool = Field(False, description="Keep nothing of what the person does later either.")
    traits: dict[str, Any] = Field(
        default_factory=dict,
        max_length=MAX_CORRECTIONS,
        description="Corrected values; `null` removes a trait.",
    )
    remove_identifiers: list[IdentifierBody] = Field(
        default_factory=list,
        max_length=100,
        description="Identifiers that are not this person's: they go to a profile of their own.",
    )
    reason: str = Field("", max_length=500, description="For the audit log: no personal data.")

    @model_validator(mode="after")
    def _fits_its_kind(self) -> "PrivacyBody":
        corrects = bool(self.traits or self.remove_identifiers)
        if self.kind == "rectification":
            if not corrects:
                raise ValueError("name the traits to correct or the identifiers to remove")
            if not self.reason.strip():
                raise ValueError("a correction needs a reason")
        elif corrects:
            raise ValueError("only a rectification corrects anything")
        if self.suppress and self.kind != "erasure":
            raise ValueError("suppress belongs to an erasure")
        return self


class ProgressView(BaseModel):
    """What is done now, and how much was done of each kind."""

    phase: str
    counts: dict[str, int]


class PrivacyView(BaseModel):
    """A request. `problem` says what it waits for or why it failed; `download` is where the
    document of an access request can be had until `expires_at`."""

    id: str
    kind: str
    status: Literal["pending", "running", "completed", "failed"]
    profile_ids: list[str]
    suppress: bool
    requested_by: str
    requested_at: str
    started_at: str | None
    finished_at: str | None
    expires_at: str | None
    progress: ProgressView
    problem: str | None
    download: str | None
    receipt: dict[str, Any] | None


@router.post("/v1/privacy-requests", status_code=202)
async def post_request(
    body: PrivacyBody, engine: Engine, state: State, principal: PrivacyOfficer
) -> PrivacyView:
    """Ask for it. A correction is made at once; the others run in the background. Asking again
    for what is open already answers with that."""
    async with transaction(engine) as tx:
        if body.kind == "rectification":
            id_ = await _rectify(tx, body, state, principal)
        else:
            id_ = await request(
                tx,
                body.kind,
                str(body.profile_id),
                suppress=body.suppress,
                who=principal.who,
                can_erase=state.can_erase,
            )
        return _view(await _found(tx, id_))


@router.get("/v1/privacy-requests")
async def list_requests(
    engine: Engine,
    paging: Paged,
    _: PrivacyOfficer,
    profile_id: Annotated[UUID | None, Query(description="Only about this profile.")] = None,
) -> Page[PrivacyView]:
    """Requests, the newest first."""
    cursor = paging.after(instant, UUID)
    before = NEWEST if cursor is None else (cursor[0], str(cursor[1]))
    async with transaction(engine) as tx:
        rows = await privacy_requests.page(
            tx,
            profile_id=None if profile_id is None else str(profile_id),
            before=before,
            limit=paging.limit + 1,
        )
    shown, next_cursor = split_page(rows, paging, lambda row: (row.requested_at, row.id))
    return Page(items=[_view(row) for row in shown], next_cursor=next_cursor)


@router.get("/v1/privacy-requests/{request_id}")
async def get_request(request_id: UUID, engine: Engine, _: PrivacyOfficer) -> PrivacyView:
    """One request with its progress, and its receipt when it is finished."""
    async with transaction(engine) as tx:
        return _view(await _found(tx, str(request_id)))


@router.get("/v1/privacy-requests/{request_id}/document")
async def get_document(request_id: UUID, engine: Engine, principal: PrivacyOfficer) -> Response:
    """Everything that Concert holds on the person, as JSON; 410 when its time is over."""
    async with transaction(engine) as tx:
        first = await download(tx, str(request_id), who=principal.who)
    return StreamingResponse(
        _parts(engine, str(request_id), first),
        media_type="application/json",
        headers={"Content-Disposition": f'attachment; filename="person-{request_id}.json"'},
    )


async def _parts(engine: AsyncEngine, id_: str, first: bytes) -> AsyncIterator[bytes]:
    number, body = 0, first
    while body is not None:
        yield body
        number += 1
        async with transaction(engine) as tx:
            found = await privacy_exports.read(tx, id_, number)
        if found is None:
            return
        body = found


async def _rectify(
    tx: AsyncConnection, body: PrivacyBody, state: ApiState, principal: Principal
) -> str:
    rules = state.rules
    removed = [
        f"{one.type}\0{as_stored(one.type, one.value, rules)}" for one in body.remove_identifiers
    ]
    return await rectify(
        tx,
        str(body.profile_id),
        Correction(body.traits, removed, body.reason),
        who=principal.who,
        rules=rules,
        live=state.live,
        topics=state.topics,
        counts=state.counts,
    )


async def _found(tx: AsyncConnection, id_: str) -> Request:
    found = await privacy_requests.read(tx, id_)
    if found is None:
        raise NotFound(f"There is no privacy request {id_}.")
    return found


def _view(row: Request) -> PrivacyView:
    ready = row.kind == "access" and row.status == "completed"
    return PrivacyView(
        id=row.id,
        kind=row.kind,
        status=row.status,
        profile_ids=row.profiles,
        suppress=row.suppress,
        requested_by=row.requested_by_name,
        requested_at=rfc3339(row.requested_at),
        started_at=None if row.started_at is None else rfc3339(row.started_at),
        finished_at=None if row.finished_at is None else rfc3339(row.finished_at),
        expires_at=None if row.expires_at is None else rfc3339(row.expires_at),
        progress=ProgressView(
            phase=row.phase if row.finished_at is None else "done", counts=row.counts
        ),
        problem=row.problem,
        download=f"/v1/privacy-requests/{row.id}/document" if ready else None,
        receipt=row.receipt,
    )
