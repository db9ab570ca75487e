"""`/v1/exports`: many people at once, as a job and a stream that can be gone on with."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Query, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.ext.asyncio import AsyncEngine

from services.profile.api.export_lines import csv_head, csv_lines, json_lines
from services.profile.api.fields import Fields, check_fields, wants_provenance
from services.profile.api.sight import Sees
from services.profile.api.state import State
from services.profile.api.views import profile_json
from services.profile.domain.absorb import Rules
from services.profile.storage import exports
from services.profile.storage.exports import Export
from services.profile.use_cases.export_profiles import (
    EVERYBODY,
    delete_export,
    find_export,
    open_export,
    pieces,
    request_export,
)
from shared.access import Permission
from shared.errors import Problem, Unprocessable
from shared.http.auth import Principal, requires
from shared.http.pagination import Page, Paged, instant, split_page
from shared.http.state import Engine
from shared.http.strict_json import api_router
from shared.postgres.transaction import transaction

router = api_router(tags=["exports"])

Exporter = Annotated[Principal, requires(Permission.PRIVACY)]
MEDIA = {"ndjson": "application/x-ndjson", "csv": "text/csv; charset=utf-8"}
END = (datetime.fromisoformat("9999-12-31T00:00:00+00:00"), str(UUID(int=2**128 - 1)))


class ExportBody(BaseModel):
    """Who is wanted: whom a condition holds for, who is in a segment, or everybody."""

    model_config = ConfigDict(extra="forbid")

    condition: dict[str, Any] | None = None
    segment: str | None = Field(None, min_length=1, max_length=200)
    fields: list[str] = Field(default=[], max_length=200)
    format: Literal["ndjson", "csv"] = "ndjson"


class ExportView(BaseModel):
    """An export. `examined` of `of` active profiles were looked at, `matched` are in it."""

    id: str
    status: Literal["waiting", "running", "done", "failed"]
    condition: dict[str, Any]
    fields: list[str]
    format: Literal["ndjson", "csv"]
    examined: int
    of: int | None
    matched: int
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    created_by: str
    error: str | None


@router.post("/v1/exports", status_code=202)
async def create_export(
    body: ExportBody, engine: Engine, state: State, principal: Exporter
) -> ExportView:
    """Find them in the background. CSV needs `fields`: they are its columns, behind the id."""
    if body.condition is not None and body.segment is not None:
        problem = Problem("segment", "one_of", "give a condition or a segment, not both")
        raise Unprocessable("two ways to say who", [problem])
    fields = check_fields(body.fields)
    if body.format == "csv" and not fields:
        problem = Problem("fields", "required", "CSV has columns: name them")
        raise Unprocessable("CSV needs fields", [problem])
    condition = body.condition or EVERYBODY
    if body.segment is not None:
        condition = {"segment": body.segment}
    async with transaction(engine) as tx:
        made = await request_export(
            tx,
            condition=condition,
            fields=fields,
            format_=body.format,
            who=principal.who,
            live=state.live,
        )
    return _view(made)


@router.get("/v1/exports")
async def list_exports(engine: Engine, paging: Paged, _: Exporter) -> Page[ExportView]:
    """Newest first."""
    cursor = paging.after(instant, UUID)
    before = END if cursor is None else (cursor[0], str(cursor[1]))
    async with transaction(engine) as tx:
        rows = await exports.newest(tx, before=before, limit=paging.limit + 1)
    shown, following = split_page(rows, paging, lambda one: (one.created_at, one.id))
    return Page(items=[_view(one) for one in shown], next_cursor=following)


@router.get("/v1/exports/{export_id}")
async def get_export(export_id: UUID, engine: Engine, _: Exporter) -> ExportView:
    """How far it has come."""
    async with transaction(engine) as tx:
        return _view(await find_export(tx, str(export_id)))


@router.get("/v1/exports/{export_id}/content", response_class=Response)
async def get_content(
    export_id: UUID,
    engine: Engine,
    state: State,
    principal: Exporter,
    sees: Sees,
    after: Annotated[
        UUID | None, Query(description="The last id you have: go on behind it, without a head.")
    ] = None,
) -> Response:
    """The people, by id, as they are now; 409 while the export is not done.

    Who was merged away or erased since is left out. A stream that ends early is gone on with by
    `after`.
    """
    position = None if after is None else str(after)
    async with transaction(engine) as tx:
        found = await open_export(
            tx,
            str(export_id),
            after=position,
            reason=sees.reason,
            clear=sees.clear,
            who=principal.who,
        )
    return StreamingResponse(
        _lines(engine, found, state.rules, position, masked=sees.masked),
        media_type=MEDIA[found.format],
        headers={"Content-Disposition": f'attachment; filename="{found.id}.{found.format}"'},
    )


@router.delete("/v1/exports/{export_id}", status_code=204)
async def remove_export(export_id: UUID, engine: Engine, principal: Exporter) -> Response:
    """Stop and forget it."""
    async with transaction(engine) as tx:
        await delete_export(tx, str(export_id), principal.who)
    return Response(status_code=204)


async def _lines(
    engine: AsyncEngine, found: Export, rules: Rules, after: str | None, *, masked: bool
) -> AsyncIterator[bytes]:
    fields: Fields = tuple(found.fields)
    provenance = wants_provenance(fields, ())
    written = csv_lines if found.format == "csv" else json_lines
    if found.format == "csv" and after is None:
        yield csv_head(fields)
    async for people in pieces(engine, found.id, after=after):
        views = [profile_json(one, rules, provenance=provenance, masked=masked) for one in people]
        yield written(views, fields)


def _view(found: Export) -> ExportView:
    return ExportView(
        id=found.id,
        status=found.status,
        condition=found.condition,
        fields=found.fields,
        format=found.format,
        examined=found.examined,
        of=found.of,
        matched=found.matched,
        created_at=found.created_at,
        started_at=found.started_at,
        finished_at=found.finished_at,
        created_by=found.who_name,
        error=found.error,
    )
