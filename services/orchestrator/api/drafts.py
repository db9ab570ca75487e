"""`/v1/rules` and `/v1/contact-policies`: edited as a draft, published as a version.

Both have the same routes, so they are declared once. A route only translates between HTTP and a
use case.
"""

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Path, Response

from services.orchestrator.api.configuration_body import (
    Document,
    Key,
    OptionalDocument,
    PublishRequest,
)
from services.orchestrator.storage.draft_kind import Kind
from services.orchestrator.use_cases.change_status import change_status
from services.orchestrator.use_cases.publish_draft import publish_draft
from services.orchestrator.use_cases.save_draft import save_draft
from services.orchestrator.use_cases.validate_draft import validate_draft
from shared.access import Permission
from shared.errors import NotFound
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

Reader = Annotated[Principal, requires(Permission.READ)]
Editor = Annotated[Principal, requires(Permission.EDIT)]
Publisher = Annotated[Principal, requires(Permission.PUBLISH)]


def draft_router(kind: Kind, path: str) -> APIRouter:
    """The routes of a kind under `path`, such as `/v1/rules`."""
    router = api_router(tags=[f"{kind.words}s" if kind is Kind.RULE else "contact policies"])
    _add_reading(router, kind, path)
    _add_writing(router, kind, path)
    _add_status_changes(router, kind, path)
    return router


def _add_reading(router: APIRouter, kind: Kind, path: str) -> None:
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
            draft = await drafts.find(tx, kind, key)
        return draft_view(_there(draft, kind, key), response)

    @router.get(path + "/{key}/versions", name=f"list_{kind}_versions")
    async def list_versions(
        key: Key, engine: Engine, paging: Paged, _: Reader
    ) -> Page[VersionView]:
        """What was published, newest first."""
        before = paging.after(whole(NEWEST))
        async with transaction(engine) as tx:
            _there(await drafts.find(tx, kind, key), kind, key)
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
            raise NotFound(f"There is no version {number} of {kind.words} {key}.")
        return version_view(version)


def _add_writing(router: APIRouter, kind: Kind, path: str) -> None:
    @router.put(path + "/{key}", name=f"save_{kind}")
    async def put_draft(
        key: Key,
        body: Document,
        engine: Engine,
        response: Response,
        principal: Editor,
        if_match: IfMatch = None,
    ) -> DraftView:
        """Save the draft; what is live stays as it is until `:publish`."""
        draft = await save_draft(
            engine,
            kind,
            key,
            document_of(body),
            may_replace=partial(check_if_match, if_match),
            who=principal.who,
        )
        return draft_view(draft, response)

    @router.post(path + "/{key}:validate", name=f"validate_{kind}")
    async def validate(
        key: Key, engine: Engine, _: Reader, body: OptionalDocument = None
    ) -> Checked:
        """Check a document, or the draft, as `:publish` would; nothing is stored."""
        await validate_draft(engine, kind, key, None if body is None else document_of(body))
        return Checked()

    @router.post(path + "/{key}:publish", name=f"publish_{kind}")
    async def publish(
        key: Key,
        engine: Engine,
        response: Response,
        principal: Publisher,
        body: PublishRequest | None = None,
        if_match: IfMatch = None,
    ) -> DraftView:
        """Make the draft the next version, live on every worker within two seconds."""
        draft = await publish_draft(
            engine,
            kind,
            key,
            may_replace=partial(check_if_match, if_match),
            who=principal.who,
        )
        return draft_view(draft, response)


def _add_status_changes(router: APIRouter, kind: Kind, path: str) -> None:
    @router.post(path + "/{key}:pause", name=f"pause_{kind}")
    async def pause(
        key: Key, engine: Engine, response: Response, principal: Publisher
    ) -> DraftView:
        """Take the live version out of force until `:resume`."""
        draft = await change_status(engine, kind, key, "pause", who=principal.who)
        return draft_view(draft, response)

    @router.post(path + "/{key}:resume", name=f"resume_{kind}")
    async def resume(
        key: Key, engine: Engine, response: Response, principal: Publisher
    ) -> DraftView:
        """Put the paused version in force again."""
        draft = await change_status(engine, kind, key, "resume", who=principal.who)
        return draft_view(draft, response)

    @router.post(path + "/{key}:archive", name=f"archive_{kind}")
    async def archive(
        key: Key, engine: Engine, response: Response, principal: Publisher
    ) -> DraftView:
        """Take it out of force for good; its versions stay readable."""
        draft = await change_status(engine, kind, key, "archive", who=principal.who)
        return draft_view(draft, response)


def _there(draft: Draft | None, kind: Kind, key: str) -> Draft:
    if draft is None:
        raise NotFound(f"There is no {kind.words} {key}.")
    return draft
