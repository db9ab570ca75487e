"""`/v1/event-schemas`: the tracking plan, edited as drafts, published as versions.

A key is an event type as events state it, percent-encoded in the path: `Order%20Completed`. A type
may hold `/` too, so the routes take the rest of the path, and no key may end as a route does.
"""

import re
from functools import partial
from typing import Annotated, Any, Self

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, ConfigDict, Field, model_validator

from services.ingest.domain.fields import MAX_TEXT
from services.ingest.domain.tracking_plan import VersionPolicy
from services.ingest.storage.event_schemas import KIND
from services.ingest.use_cases.publish_event_schema import publish_event_schema
from services.ingest.use_cases.save_event_schema import save_event_schema
from services.ingest.use_cases.validate_event import validate_event
from shared.access import Permission
from shared.errors import NotFound, Problem, Unprocessable
from shared.http.auth import Principal, requires
from shared.http.drafts import (
    NEWEST,
    Checked,
    DraftView,
    VersionView,
    document_of,
    draft_view,
    listed_draft,
    version_view,
)
from shared.http.etag import IfMatch, check_if_match
from shared.http.pagination import Page, Paged, split_page, whole, words
from shared.http.state import Engine
from shared.http.strict_json import api_router
from shared.postgres import drafts
from shared.postgres.drafts import Draft
from shared.postgres.transaction import transaction

PATH = "/v1/event-schemas"
ONE = PATH + "/{key:path}"
TEXT = r"^[^\x00-\x1f\x7f]+$"
ROUTE_ENDS = re.compile(r"(?:/versions(?:/[0-9]+)?|:validate|:publish)\Z")

Reader = Annotated[Principal, requires(Permission.READ)]
Editor = Annotated[Principal, requires(Permission.EDIT)]
Publisher = Annotated[Principal, requires(Permission.PUBLISH)]
Key = Annotated[str, Path(pattern=TEXT, max_length=MAX_TEXT, description="The event type.")]
Number = Annotated[int, Path(ge=1, le=NEWEST)]
Json = dict[str, Any]


class EventSchemaRequest(BaseModel):
    """The schema of an event type. What was read may be sent back as it is."""

    model_config = ConfigDict(extra="forbid", serialize_by_alias=True)

    key: str | None = Field(None, description="May repeat the event type of the path.")
    name: str = Field(min_length=1, max_length=200)
    description: str | None = Field(None, max_length=2_000)
    schema_: Json = Field(
        alias="schema",
        description="JSON Schema 2020-12 for the event's `properties`; its members `traits` and"
        " `context` are schemas for those parts.",
    )
    version_policy: VersionPolicy = Field(
        "follow_live",
        description="`follow_live`: events are held against the newest version. `pin`: an event"
        " that names a published version in its `schema` is held against that one.",
    )

    @model_validator(mode="before")
    @classmethod
    def _without_ours(cls, body: Any) -> Any:
        return document_of(body) if isinstance(body, dict) else body

    def document(self) -> Json:
        """As it is stored."""
        return self.model_dump(exclude={"key"}, exclude_none=True)


class ValidateRequest(BaseModel):
    """What to check: a sample event, against the `schema` given, a `version`, or the draft."""

    model_config = ConfigDict(extra="forbid")

    event: Json | None = Field(
        None, description="`properties`, `traits` and `context` of it are looked at."
    )
    schema_: Json | None = Field(None, alias="schema")
    version: int | None = Field(None, ge=1, le=NEWEST)

    @model_validator(mode="after")
    def _parts_are_objects(self) -> Self:
        for name in ("properties", "traits", "context"):
            part = (self.event or {}).get(name)
            if part is not None and not isinstance(part, dict):
                raise ValueError(f"event.{name} must be an object")
        return self


class PublishRequest(BaseModel):
    """How the new version is used, if not as the draft says."""

    model_config = ConfigDict(extra="forbid")

    version_policy: VersionPolicy | None = None


def event_schemas_router() -> APIRouter:
    """The routes; those with an end of their own come before the one that takes every path."""
    router = api_router(tags=["tracking plan"])
    _add_versions(router)
    _add_verbs(router)
    _add_drafts(router)
    return router


def _add_versions(router: APIRouter) -> None:
    @router.get(ONE + "/versions")
    async def list_event_schema_versions(
        key: Key, engine: Engine, paging: Paged, _: Reader
    ) -> Page[VersionView]:
        """What was published of an event type, newest first."""
        before = paging.after(whole(NEWEST))
        newest = NEWEST if before is None else before[0]
        async with transaction(engine) as tx:
            _there(await drafts.find(tx, KIND, key), key)
            rows = await drafts.versions(tx, KIND, key, before=newest, limit=paging.limit + 1)
        shown, cursor = split_page(rows, paging, lambda version: (version.version,))
        return Page(items=[version_view(version) for version in shown], next_cursor=cursor)

    @router.get(ONE + "/versions/{number}")
    async def get_event_schema_version(
        key: Key, number: Number, engine: Engine, _: Reader
    ) -> VersionView:
        """One published version; it never changes."""
        async with transaction(engine) as tx:
            version = await drafts.version(tx, KIND, key, number)
        if version is None:
            raise NotFound(f"There is no version {number} of the schema of {key!r}.")
        return version_view(version)


def _add_verbs(router: APIRouter) -> None:
    @router.post(ONE + ":validate")
    async def validate_event_schema(
        key: Key, engine: Engine, _: Reader, body: ValidateRequest | None = None
    ) -> Checked:
        """Check a schema, and a sample event against it; each mistake is named with its path and
        its rule. Nothing is stored."""
        asked = body or ValidateRequest(event=None, schema=None, version=None)
        await validate_event(
            engine, key, event=asked.event, schema=asked.schema_, version=asked.version
        )
        return Checked()

    @router.post(ONE + ":publish")
    async def publish(
        key: Key,
        engine: Engine,
        response: Response,
        principal: Publisher,
        body: PublishRequest | None = None,
        if_match: IfMatch = None,
    ) -> DraftView:
        """Make the draft the next version, in force on every worker within two seconds."""
        draft = await publish_event_schema(
            engine,
            key,
            version_policy=None if body is None else body.version_policy,
            may_replace=partial(check_if_match, if_match),
            who=principal.who,
        )
        return draft_view(draft, response)


def _add_drafts(router: APIRouter) -> None:
    @router.get(PATH)
    async def list_event_schemas(engine: Engine, paging: Paged, _: Reader) -> Page[DraftView]:
        """The whole tracking plan, by event type."""
        after = paging.after(words)
        start = "" if after is None else after[0]
        async with transaction(engine) as tx:
            rows = await drafts.page(tx, KIND, after=start, limit=paging.limit + 1)
        shown, cursor = split_page(rows, paging, lambda draft: (draft.key,))
        return Page(items=[listed_draft(draft) for draft in shown], next_cursor=cursor)

    @router.get(ONE)
    async def get_event_schema(
        key: Key, engine: Engine, response: Response, _: Reader
    ) -> DraftView:
        """The draft and its status; the ETag is the draft's number."""
        async with transaction(engine) as tx:
            draft = await drafts.find(tx, KIND, key)
        return draft_view(_there(draft, key), response)

    @router.put(ONE)
    async def put_event_schema(
        key: Key,
        body: EventSchemaRequest,
        engine: Engine,
        response: Response,
        principal: Editor,
        if_match: IfMatch = None,
    ) -> DraftView:
        """Save the draft; what is in force stays as it is until `:publish`."""
        _check_key(key, body.key)
        draft = await save_event_schema(
            engine,
            key,
            body.document(),
            may_replace=partial(check_if_match, if_match),
            who=principal.who,
        )
        return draft_view(draft, response)


def _check_key(key: str, repeated: str | None) -> None:
    """Raises Unprocessable for what no event type can be, or another one in the body."""
    problem = None
    if key != key.strip():
        problem = Problem("key", "text", "has white space around it, which events never have")
    elif ROUTE_ENDS.search(key):
        problem = Problem("key", "reserved", "ends as a path of this API does")
    elif repeated is not None and repeated != key:
        problem = Problem("key", "same_key", f"is {repeated!r}, but the path says {key!r}")
    if problem is not None:
        raise Unprocessable(f"The key {problem.message}.", [problem])


def _there(draft: Draft | None, key: str) -> Draft:
    if draft is None:
        raise NotFound(f"There is no schema of {key!r}.")
    return draft
