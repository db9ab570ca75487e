"""`/v1/templates`, `/v1/channels`, `/v1/resources`: live on saving, and each save is a version."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Response
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.orchestrator.api.configuration_body import (
    SavedView,
    default_channel_view,
    saved_view,
)
from services.orchestrator.domain.channel import default_channels
from services.orchestrator.storage import saved
from services.orchestrator.storage.saved import Kind
from services.orchestrator.use_cases.check_configuration import check_saved
from services.orchestrator.use_cases.save_at_once import save_at_once
from services.orchestrator.use_cases.show_resource import show_resource
from shared.access import Permission
from shared.errors import NotFound, Problem
from shared.http.auth import Principal, requires
from shared.http.draft_routes import Document, Key
from shared.http.drafts import NEWEST, document_of
from shared.http.etag import IfMatch, IfNoneMatch, check_if_match, check_if_none_match, etag
from shared.http.pagination import Page, Paged, split_page, whole, words
from shared.http.state import Engine
from shared.http.strict_json import api_router
from shared.postgres.transaction import transaction

Reader = Annotated[Principal, requires(Permission.READ)]
SAVING = {
    Kind.TEMPLATE: Permission.PUBLISH,
    Kind.CHANNEL: Permission.OPERATE,
    Kind.RESOURCE: Permission.OPERATE,
}
"""A template is published by saving it: it changes at once what customers read. A channel is
how the technology behaves, and can be switched off in an emergency; a resource is what operations
have to give."""


Check = Callable[[AsyncEngine, str, dict[str, Any]], Awaitable[Sequence[Problem]]]


def saved_router(kind: Kind, path: str, check: Check | None = None) -> APIRouter:
    """The routes of a kind under `path`, such as `/v1/templates`; `check` raises what else forbids
    to save a body that has its form, and warns of what is probably not meant."""
    router = api_router(tags=[f"{kind}s"])
    _add_reading(router, kind, path)
    _add_writing(router, kind, path, check)
    return router


def _add_reading(router: APIRouter, kind: Kind, path: str) -> None:
    @router.get(path, name=f"list_{kind}")
    async def list_saved(engine: Engine, paging: Paged, _: Reader) -> Page[SavedView]:
        """The present version of every key, by key; default channels too."""
        after = paging.after(words)
        start = "" if after is None else after[0]
        async with transaction(engine) as tx:
            rows = await saved.page(tx, kind, after=start, limit=paging.limit + 1)
            defaults = await _unsaved_defaults(tx, kind, start)
        views: Sequence[SavedView] = sorted(
            [*map(saved_view, rows), *defaults], key=lambda view: view.key
        )
        shown, cursor = split_page(views, paging, lambda view: (view.key,))
        return Page(items=list(shown), next_cursor=cursor)

    @router.get(path + "/{key}", name=f"get_{kind}")
    async def get_saved(key: Key, engine: Engine, response: Response, _: Reader) -> SavedView:
        """The present version; its number is the ETag. Of a resource also what is `used` and `left`
        in the present `window`, and the `price`."""
        async with transaction(engine) as tx:
            found = await saved.find(tx, kind, key)
            state = {}
            if found is not None and kind is Kind.RESOURCE:
                state = await show_resource(tx, found)
        view = _default(kind, key) if found is None else saved_view(found)
        if view is None:
            raise NotFound(f"There is no {kind} {key}.")
        response.headers["ETag"] = etag(view.version)
        return view.model_copy(update=state) if state else view

    @router.get(path + "/{key}/versions", name=f"list_{kind}_versions")
    async def list_versions(key: Key, engine: Engine, paging: Paged, _: Reader) -> Page[SavedView]:
        """Every version that was saved, newest first."""
        before = paging.after(whole(NEWEST))
        async with transaction(engine) as tx:
            rows = await saved.versions(
                tx,
                kind,
                key,
                before=NEWEST if before is None else before[0],
                limit=paging.limit + 1,
            )
        if not rows and before is None and _default(kind, key) is None:
            raise NotFound(f"There is no {kind} {key}.")
        shown, cursor = split_page(rows, paging, lambda version: (version.version,))
        return Page(items=[saved_view(version) for version in shown], next_cursor=cursor)


def _add_writing(router: APIRouter, kind: Kind, path: str, check: Check | None) -> None:
    @router.put(path + "/{key}", name=f"save_{kind}")
    async def put_saved(
        key: Key,
        body: Document,
        engine: Engine,
        response: Response,
        principal: Annotated[Principal, requires(SAVING[kind])],
        if_match: IfMatch = None,
        if_none_match: IfNoneMatch = None,
    ) -> SavedView:
        """Save a new version, in force on every worker within two seconds. `warnings` say what a
        channel names that is not there yet."""

        def may_replace(version: int | None) -> None:
            default = _default(kind, key) if version is None else None
            check_if_match(if_match, version if default is None else default.version)
            check_if_none_match(if_none_match, version)

        document = document_of(body)
        check_saved(kind, key, document)
        warnings = [] if check is None else await check(engine, key, document)
        made = await save_at_once(
            engine, kind, key, document, may_replace=may_replace, who=principal.who
        )
        response.headers["ETag"] = etag(made.version)
        return saved_view(made, warnings)


async def _unsaved_defaults(tx: AsyncConnection, kind: Kind, start: str) -> list[SavedView]:
    """Default channels behind `start` that nobody saved."""
    defaults = default_channels() if kind is Kind.CHANNEL else {}
    known = await saved.known(tx, kind, set(defaults))
    return [
        default_channel_view(channel)
        for key, channel in defaults.items()
        if key > start and key not in known
    ]


def _default(kind: Kind, key: str) -> SavedView | None:
    """The channel that is there though nobody saved it."""
    channel = default_channels().get(key) if kind is Kind.CHANNEL else None
    return None if channel is None else default_channel_view(channel)
