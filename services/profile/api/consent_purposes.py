"""`/v1/consent-purposes` and `/v1/opt-out-rules`: what a deployment declares about consents, edited
as a draft and published as a version.

There is one set of rules for opting out, `default`; until one is published, what is built in holds.
"""

from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Response

from services.profile.domain.consent_document import default_opt_outs
from services.profile.use_cases import declare_consents
from services.profile.use_cases.declare_consents import NAMED, Kind
from shared.access import Permission
from shared.http.auth import Principal, requires
from shared.http.draft_routes import Document, Key, OptionalDocument, Reader, add_reading
from shared.http.drafts import Checked, DraftView, document_of, draft_view
from shared.http.etag import IfMatch, check_if_match
from shared.http.state import Engine
from shared.http.strict_json import api_router

Editor = Annotated[Principal, requires(Permission.EDIT)]
Publisher = Annotated[Principal, requires(Permission.PUBLISH)]


def _router(kind: Kind, path: str) -> APIRouter:
    router = api_router(tags=["consents"])
    if kind is Kind.OPT_OUT:
        _add_built_in(router, path)
    add_reading(router, kind, path, named=NAMED[kind])
    _add_writing(router, kind, path)
    return router


def _add_built_in(router: APIRouter, path: str) -> None:
    @router.get(path + ":built-in", name="get_built_in_opt_out_rules")
    async def get_built_in(_: Reader) -> dict[str, Any]:
        """What holds where the published document says nothing: words by language, types."""
        return default_opt_outs()


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
        """Save the draft; what is in force stays as it is until `:publish`."""
        draft = await declare_consents.save(
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
        document = None if body is None else document_of(body)
        await declare_consents.validate(engine, kind, key, document)
        return Checked()

    @router.post(path + "/{key}:publish", name=f"publish_{kind}")
    async def publish(
        key: Key,
        engine: Engine,
        response: Response,
        principal: Publisher,
        if_match: IfMatch = None,
    ) -> DraftView:
        """Make the draft the next version: it holds for what is said from now on, everywhere within
        two seconds."""
        draft = await declare_consents.publish(
            engine, kind, key, may_replace=partial(check_if_match, if_match), who=principal.who
        )
        return draft_view(draft, response)

    @router.post(path + "/{key}:archive", name=f"archive_{kind}")
    async def archive(
        key: Key, engine: Engine, response: Response, principal: Publisher
    ) -> DraftView:
        """Take it out of force; what was said under it stays."""
        draft = await declare_consents.archive(engine, kind, key, who=principal.who)
        return draft_view(draft, response)


purposes = _router(Kind.PURPOSE, "/v1/consent-purposes")
opt_outs = _router(Kind.OPT_OUT, "/v1/opt-out-rules")
