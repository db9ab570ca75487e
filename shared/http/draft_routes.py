"""The routes of what is drafted and published that every kind of configuration has alike: reading,
saving a draft, checking one.

A kind is the name of its table (see `shared.postgres.drafts`); `words` names it in a sentence.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any, Protocol, TypeVar

import fastapi
from fastapi import APIRouter, Path, Response
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from shared.access import Permission
from shared.errors import NotFound, Problem
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
    warned,
)
from shared.http.etag import IfMatch, IfNoneMatch, check_if_match, check_if_none_match
from shared.http.pagination import Page, Paged, split_page, whole, words
from shared.http.state import Engine
from shared.postgres import audit, drafts
from shared.postgres.drafts import Body, Draft
from shared.postgres.transaction import transaction

Reader = Annotated[Principal, requires(Permission.READ)]
Editor = Annotated[Principal, requires(Permission.EDIT)]
Publisher = Annotated[Principal, requires(Permission.PUBLISH)]
Key = Annotated[str, Path(pattern=r"^[a-z0-9][a-z0-9_.-]{0,99}$", max_length=100)]
Document = Annotated[
    dict[str, Any],
    fastapi.Body(
        description="The document; an unknown field is a mistake, and every mistake is named."
    ),
]
OptionalDocument = Annotated[
    dict[str, Any] | None,
    fastapi.Body(description="The document; without one, the stored draft."),
]


K = TypeVar("K", bound=str)
K_contra = TypeVar("K_contra", bound=str, contravariant=True)


class SaveDraft(Protocol[K_contra]):
    """The use case that saves a draft of a kind."""

    async def __call__(
        self,
        engine: AsyncEngine,
        kind: K_contra,
        key: str,
        body: Body,
        /,
        *,
        may_replace: Callable[[int | None], None],
        who: audit.Who,
    ) -> Draft: ...


class CheckDraft(Protocol[K_contra]):
    """The use case that checks a document, or without one the draft; it may have warnings."""

    async def __call__(
        self, engine: AsyncEngine, kind: K_contra, key: str, body: Body | None, /
    ) -> Sequence[Problem] | None: ...


More = Callable[[AsyncConnection, Draft], Awaitable[dict[str, Any]]]
"""Further fields of a draft as it is shown."""


def add_reading(
    router: APIRouter, kind: str, path: str, *, named: str, more: More | None = None
) -> None:
    """List, draft, versions and one version of a kind under `path`, such as `/v1/rules`; `more`
    finds what else one draft shows."""

    @router.get(path, name=f"list_{kind}")
    async def list_drafts(engine: Engine, paging: Paged, _: Reader) -> Page[DraftView]:
        """Every key with its draft, by key."""
        after = paging.after(words)
        async with transaction(engine) as tx:
            rows = await drafts.page(
                tx, kind, after="" if after is None else after[0], limit=paging.limit + 1
            )
        shown, cursor = split_page(rows, paging, lambda draft: (draft.key,))
        return Page(items=[listed_draft(draft) for draft in shown], next_cursor=cursor)

    @router.get(path + "/{key}", name=f"get_{kind}")
    async def get_draft(key: Key, engine: Engine, response: Response, _: Reader) -> DraftView:
        """The draft and its status; the ETag is the draft's number."""
        async with transaction(engine) as tx:
            draft = drafts.there(await drafts.find(tx, kind, key), named, key)
            fields = {} if more is None else await more(tx, draft)
        return draft_view(draft, response).model_copy(update=fields)

    @router.get(path + "/{key}/versions", name=f"list_{kind}_versions")
    async def list_versions(
        key: Key, engine: Engine, paging: Paged, _: Reader
    ) -> Page[VersionView]:
        """What was published, newest first."""
        before = paging.after(whole(NEWEST))
        async with transaction(engine) as tx:
            drafts.there(await drafts.find(tx, kind, key), named, key)
            rows = await drafts.versions(
                tx,
                kind,
                key,
                before=NEWEST if before is None else before[0],
                limit=paging.limit + 1,
            )
        shown, cursor = split_page(rows, paging, lambda version: (version.version,))
        return Page(items=[version_view(version) for version in shown], next_cursor=cursor)

    @router.get(path + "/{key}/versions/{number}", name=f"get_{kind}_version")
    async def get_version(
        key: Key, number: Annotated[int, Path(ge=1, le=NEWEST)], engine: Engine, _: Reader
    ) -> VersionView:
        """One published version."""
        async with transaction(engine) as tx:
            version = await drafts.version(tx, kind, key, number)
        if version is None:
            raise NotFound(f"There is no version {number} of {named} {key}.")
        return version_view(version)


def add_drafting(
    router: APIRouter, kind: K, path: str, *, save: SaveDraft[K], validate: CheckDraft[K]
) -> None:
    """Save and check a draft of a kind under `path`."""

    @router.put(path + "/{key}", name=f"save_{kind}")
    async def put_draft(
        key: Key,
        body: Document,
        engine: Engine,
        response: Response,
        principal: Editor,
        if_match: IfMatch = None,
        if_none_match: IfNoneMatch = None,
    ) -> DraftView:
        """Save the draft; what is live stays as it is until `:publish`."""

        def may_replace(version: int | None) -> None:
            check_if_match(if_match, version)
            check_if_none_match(if_none_match, version)

        draft = await save(
            engine, kind, key, document_of(body), may_replace=may_replace, who=principal.who
        )
        return draft_view(draft, response)

    @router.post(path + "/{key}:validate", name=f"validate_{kind}")
    async def validate_draft(
        key: Key, engine: Engine, _: Reader, body: OptionalDocument = None
    ) -> Checked:
        """Check a document, or the draft, as `:publish` would; nothing is stored."""
        found = await validate(engine, kind, key, None if body is None else document_of(body))
        return Checked(warnings=warned(found or ()))
