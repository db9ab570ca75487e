"""The routes that read what is drafted and published; every kind of configuration has the same.

A kind is the name of its table (see `shared.postgres.drafts`); `words` names it in a sentence.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Body, Path, Response

from shared.access import Permission
from shared.errors import NotFound
from shared.http.auth import Principal, requires
from shared.http.drafts import (
    NEWEST,
    DraftView,
    VersionView,
    draft_view,
    listed_draft,
    version_view,
)
from shared.http.pagination import Page, Paged, split_page, whole, words
from shared.http.state import Engine
from shared.postgres import drafts
from shared.postgres.drafts import Draft
from shared.postgres.transaction import transaction

Reader = Annotated[Principal, requires(Permission.READ)]
Key = Annotated[str, Path(pattern=r"^[a-z0-9][a-z0-9_.-]{0,99}$", max_length=100)]
Document = Annotated[
    dict[str, Any],
    Body(description="The document; an unknown field is a mistake, and every mistake is named."),
]
OptionalDocument = Annotated[
    dict[str, Any] | None, Body(description="The document; without one, the stored draft.")
]


def add_reading(router: APIRouter, kind: str, path: str, *, named: str) -> None:
    """List, draft, versions and one version of a kind under `path`, such as `/v1/rules`."""

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
        return draft_view(there(draft, named, key), response)

    @router.get(path + "/{key}/versions", name=f"list_{kind}_versions")
    async def list_versions(
        key: Key, engine: Engine, paging: Paged, _: Reader
    ) -> Page[VersionView]:
        """What was published, newest first."""
        before = paging.after(whole(NEWEST))
        async with transaction(engine) as tx:
            there(await drafts.find(tx, kind, key), named, key)
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


def there(draft: Draft | None, named: str, key: str) -> Draft:
    """The draft. Raises NotFound when there is none."""
    if draft is None:
        raise NotFound(f"There is no {named} {key}.")
    return draft
