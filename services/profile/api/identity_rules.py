"""`/v1/identity-rules`: who is who, edited as a draft and published as a version.

There is one set of rules, `default`; until one is published, what is built in holds.
"""

from functools import partial
from typing import Annotated, Any

from fastapi import Path, Response
from pydantic import BaseModel

from services.profile.domain.identity_document import KEY, default_document
from services.profile.use_cases.edit_identity_rules import (
    publish_identity_rules,
    save_identity_rules,
    validate_identity_rules,
)
from services.profile.use_cases.load_rules import KIND
from shared.errors import NotFound
from shared.http.draft_routes import Document, Editor, OptionalDocument, Publisher, Reader
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
from shared.http.pagination import Page, Paged, split_page, whole
from shared.http.state import Engine
from shared.http.strict_json import api_router
from shared.postgres import drafts
from shared.postgres.drafts import Draft
from shared.postgres.transaction import transaction

Key = Annotated[str, Path(max_length=100, description=f"`{KEY}`: there is one set of rules.")]

PATH = "/v1/identity-rules"
ONE = PATH + "/{key}"

router = api_router(tags=["identity rules"])


class InForce(BaseModel):
    """The rules that hold now. `version` 0 is what is built in."""

    version: int
    rules: dict[str, Any]


@router.get(PATH)
async def list_identity_rules(engine: Engine, _: Reader) -> Page[DraftView]:
    """The one set of rules, if it was ever saved."""
    async with transaction(engine) as tx:
        draft = await drafts.find(tx, KIND, KEY)
    return Page(items=[] if draft is None else [listed_draft(draft)], next_cursor=None)


@router.get(PATH + ":in-force")
async def get_rules_in_force(engine: Engine, _: Reader) -> InForce:
    """What holds now, whether somebody published it or it is built in; what a published document
    leaves out is as built in."""
    async with transaction(engine) as tx:
        live = await drafts.live(tx, KIND)
    if not live:
        return InForce(version=0, rules=default_document())
    built_in, published = default_document(), live[0].body
    types = {
        name: built_in["types"].get(name, {}) | one
        for name, one in (published.get("types") or {}).items()
    }
    given = {name: value for name, value in published.items() if value is not None}
    return InForce(
        version=live[0].version,
        rules=built_in | given | {"types": built_in["types"] | types},
    )


@router.get(ONE)
async def get_identity_rules(key: Key, engine: Engine, response: Response, _: Reader) -> DraftView:
    """The draft and its status; the ETag is the draft's number."""
    _known(key)
    async with transaction(engine) as tx:
        draft = await drafts.find(tx, KIND, KEY)
    return draft_view(_there(draft), response)


@router.get(ONE + "/versions")
async def list_versions(key: Key, engine: Engine, paging: Paged, _: Reader) -> Page[VersionView]:
    """What was published, newest first."""
    _known(key)
    before = paging.after(whole(NEWEST))
    newest = NEWEST if before is None else before[0]
    async with transaction(engine) as tx:
        _there(await drafts.find(tx, KIND, KEY))
        rows = await drafts.versions(tx, KIND, KEY, before=newest, limit=paging.limit + 1)
    shown, cursor = split_page(rows, paging, lambda version: (version.version,))
    return Page(items=[version_view(version) for version in shown], next_cursor=cursor)


@router.put(ONE)
async def put_identity_rules(
    key: Key,
    body: Document,
    engine: Engine,
    response: Response,
    principal: Editor,
    if_match: IfMatch = None,
) -> DraftView:
    """Save the draft; what is in force stays as it is until `:publish`."""
    _known(key)
    draft = await save_identity_rules(
        engine,
        document_of(body),
        may_replace=partial(check_if_match, if_match),
        who=principal.who,
    )
    return draft_view(draft, response)


@router.post(ONE + ":validate")
async def validate(key: Key, engine: Engine, _: Reader, body: OptionalDocument = None) -> Checked:
    """Check a document, or the draft, as `:publish` would; nothing is stored."""
    _known(key)
    await validate_identity_rules(engine, None if body is None else document_of(body))
    return Checked()


@router.post(ONE + ":publish")
async def publish(
    key: Key,
    engine: Engine,
    response: Response,
    principal: Publisher,
    if_match: IfMatch = None,
) -> DraftView:
    """Make the draft the next version: it holds for what comes next, within two seconds."""
    _known(key)
    draft = await publish_identity_rules(
        engine, may_replace=partial(check_if_match, if_match), who=principal.who
    )
    return draft_view(draft, response)


def _known(key: str) -> None:
    if key != KEY:
        raise NotFound(f"There is one set of identity rules: {KEY}.")


def _there(draft: Draft | None) -> Draft:
    if draft is None:
        raise NotFound("Nobody saved identity rules yet: what is built in holds.")
    return draft
