"""`/v1/sources`: who may publish, and the keys with which they do."""

import logging
from datetime import datetime, timedelta
from functools import partial
from typing import Annotated, Any, get_args

from fastapi import APIRouter, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, field_validator

from services.ingest.api.peers import Counted, Peers
from services.ingest.api.source_request import SourceRequest
from services.ingest.domain.balance import balance
from services.ingest.domain.source import Tracking
from services.ingest.domain.source_key import COLLECT, Scope
from services.ingest.storage import counters, sources
from services.ingest.storage.registry import Registry
from services.ingest.storage.sources import StoredKey, StoredSource
from services.ingest.use_cases.edit_source import edit_source
from services.ingest.use_cases.issue_source_key import issue_source_key
from services.ingest.use_cases.open_channel import OpenChannel
from services.ingest.use_cases.register_source import register_source
from services.ingest.use_cases.revoke_source_key import revoke_source_key
from shared.access import Permission
from shared.conditions.duration import format_duration
from shared.errors import Infrastructure, NotFound, Problem, Unprocessable
from shared.http.auth import Principal, requires
from shared.http.etag import IfMatch, check_if_match, etag
from shared.http.pagination import Page, Paged, split_page, words
from shared.http.state import Engine
from shared.http.strict_json import api_router
from shared.postgres.transaction import transaction

logger = logging.getLogger(__name__)

Reader = Annotated[Principal, requires(Permission.READ)]
Operator = Annotated[Principal, requires(Permission.OPERATE)]


class SourceView(BaseModel):
    """A source as people see it."""

    id: str
    name: str
    channel: str
    offline: bool
    dialect: str
    default_region: str | None
    subject_as: str | None
    trust: int
    timezone: str | None
    device: bool
    max_age: str | None
    mapping: dict[str, Any] | None
    tracking: Tracking
    events_per_second: int | None
    pii: dict[str, str]
    version: int
    created_at: datetime
    created_by: str


class KeyView(BaseModel):
    """A key as people may see it: its beginning, never the whole."""

    id: str
    prefix: str
    scopes: list[str]
    expires_at: datetime | None
    created_at: datetime
    created_by: str
    revoked_at: datetime | None


class Counters(BaseModel):
    """What became of a source's events; received = accepted + duplicate + failed + in_flight.

    `received` were read by ingest, `failed` of them became dead letters, `accepted` and `duplicate`
    were read by the profile service, `in_flight` are on their way there. The profile service not
    answering, what it knows is null, and `detail` says so.
    """

    received: int
    accepted: int | None
    duplicate: int | None
    failed: int
    in_flight: int | None
    detail: str | None = None


class SourceDetail(SourceView):
    """A source with its keys, ended ones too, and its live counters."""

    keys: list[KeyView]
    counters: Counters


class KeyRequest(BaseModel):
    """A key to be made; without a body it may only collect, and does not expire."""

    model_config = ConfigDict(extra="forbid")

    expires_at: AwareDatetime | None = Field(
        None, description="When it ends by itself, in the future; null: never."
    )
    scopes: list[Scope] = Field(
        [COLLECT],
        min_length=1,
        max_length=len(get_args(Scope)),
        description="`collect`: publish. `read`: ask for receipts and watch live, the source's own"
        " events, masked. Not for a key that a web page shows.",
        json_schema_extra={"uniqueItems": True},
    )

    @field_validator("scopes")
    @classmethod
    def _each_once(cls, value: list[Scope]) -> list[Scope]:
        if len(set(value)) < len(value):
            raise ValueError("names a scope twice")
        return value


class NewKey(KeyView):
    """A key at its creation; `key` is not shown again."""

    key: str


def sources_router(*, registry: Registry, open_channel: OpenChannel, peers: Peers) -> APIRouter:
    """The routes. What they change is known to this process at once, to others within seconds."""
    router = api_router(tags=["sources"])
    _add_writing(router, registry, open_channel)
    _add_reading(router, peers)
    _add_keys(router, registry)
    return router


def _add_writing(router: APIRouter, registry: Registry, open_channel: OpenChannel) -> None:
    @router.post("/v1/sources", status_code=201)
    async def create_source(
        body: SourceRequest, engine: Engine, response: Response, principal: Operator
    ) -> SourceView:
        """Register a source; the topic of its channel is there when this answers."""
        stored = await register_source(engine, body.source(), principal.who)
        registry.forget()
        await open_channel(stored.channel)
        response.headers["ETag"] = etag(stored.version)
        return SourceView(**_shown(stored))

    @router.put("/v1/sources/{source_id}")
    async def put_source(
        source_id: str,
        body: SourceRequest,
        engine: Engine,
        response: Response,
        principal: Operator,
        if_match: IfMatch = None,
    ) -> SourceView:
        """Change a source; every worker and collector follows within seconds.

        Its `id` and its `channel` stay as they are.
        """
        if body.id != source_id:
            message = (
                f"is {source_id!r} for good: it is part of the id of every event that this source"
                " published; register another source"
            )
            raise Unprocessable(f"id: {message}.", [Problem("id", "immutable", message)])
        stored = await edit_source(
            engine, body.source(), principal.who, may_replace=partial(check_if_match, if_match)
        )
        registry.forget()
        response.headers["ETag"] = etag(stored.version)
        return SourceView(**_shown(stored))


def _add_reading(router: APIRouter, peers: Peers) -> None:
    @router.get("/v1/sources")
    async def list_sources(engine: Engine, paging: Paged, _: Reader) -> Page[SourceView]:
        """All sources in the order of their ids."""
        after = paging.after(words)
        async with transaction(engine) as tx:
            rows = await sources.page(
                tx, after="" if after is None else after[0], limit=paging.limit + 1
            )
        shown, cursor = split_page(rows, paging, lambda row: (row.id,))
        return Page(items=[SourceView(**_shown(row)) for row in shown], next_cursor=cursor)

    @router.get("/v1/sources/{source_id}")
    async def get_source(
        source_id: str, engine: Engine, response: Response, _: Reader
    ) -> SourceDetail:
        """One source, its keys and its counters; its version is the ETag."""
        async with transaction(engine) as tx:
            stored = await sources.find(tx, source_id)
            if stored is None:
                raise NotFound(f"There is no source {source_id!r}.")
            keys = await sources.keys(tx, source_id)
        applied = await _applied(peers, source_id)
        async with transaction(engine) as tx:
            published = await counters.published(tx, source_id)
        response.headers["ETag"] = etag(stored.version)
        return SourceDetail(
            **_shown(stored),
            keys=[_key_view(key) for key in keys],
            counters=_counters(published, applied),
        )


def _add_keys(router: APIRouter, registry: Registry) -> None:
    @router.post("/v1/sources/{source_id}/keys", status_code=201)
    async def create_key(
        source_id: str, engine: Engine, principal: Operator, body: KeyRequest | None = None
    ) -> NewKey:
        """Make a key. Keep the answer: the key is stored nowhere. Two can be active at a time."""
        asked = KeyRequest() if body is None else body
        stored, key = await issue_source_key(
            engine, source_id, principal.who, scopes=asked.scopes, expires_at=asked.expires_at
        )
        registry.forget()
        return NewKey(**_key_view(stored).model_dump(), key=key)

    @router.delete("/v1/sources/{source_id}/keys/{key_id}", status_code=204)
    async def revoke_key(
        source_id: str, key_id: str, engine: Engine, principal: Operator
    ) -> Response:
        """End a key; every collector refuses it within two seconds."""
        await revoke_source_key(engine, source_id, key_id, principal.who)
        registry.forget()
        return Response(status_code=204)


def _shown(stored: StoredSource) -> dict[str, Any]:
    """The fields of a SourceView."""
    fields = stored._asdict()
    seconds = fields.pop("max_age_seconds")
    age = None if seconds is None else format_duration(timedelta(seconds=seconds))
    return {**fields, "max_age": age}


async def _applied(peers: Peers, source_id: str) -> Counted | str:
    """What the profile service counted, or the sentence that says why that is not known."""
    try:
        return await peers.counted(source_id)
    except Infrastructure as error:
        logger.warning("the counters of %s are incomplete: %s", source_id, error)
        return f"The profile service could not be asked for its part: {error.detail}."


def _counters(published: counters.Published, applied: Counted | str) -> Counters:
    received, failed = published
    if not isinstance(applied, str):
        account = balance(
            received=received,
            failed=failed,
            accepted=applied.accepted,
            duplicate=applied.duplicate,
        )
        return Counters(**account._asdict())
    return Counters(
        received=received,
        accepted=None,
        duplicate=None,
        failed=failed,
        in_flight=None,
        detail=applied,
    )


def _key_view(stored: StoredKey) -> KeyView:
    return KeyView(
        id=stored.id,
        prefix=stored.prefix,
        scopes=stored.scopes,
        expires_at=stored.expires_at,
        created_at=stored.created_at,
        created_by=stored.created_by,
        revoked_at=stored.revoked_at,
    )
