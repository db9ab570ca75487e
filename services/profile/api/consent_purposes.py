"""`/v1/consent-purposes` and `/v1/opt-out-rules`: what a deployment declares about consents, edited
as a draft and published as a version.

There is one set of rules for opting out, `default`; until one is published, what is built in holds.
"""

from functools import partial
from typing import Any

from fastapi import APIRouter, Response

from services.profile.domain.consent_document import default_opt_outs
from services.profile.use_cases import declare_consents
from services.profile.use_cases.declare_consents import NAMED, Kind
from shared.http.draft_routes import Key, Publisher, Reader, add_drafting, add_reading
from shared.http.drafts import DraftView, draft_view
from shared.http.etag import IfMatch, check_if_match
from shared.http.state import Engine
from shared.http.strict_json import api_router


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
    add_drafting(router, kind, path, save=declare_consents.save, validate=declare_consents.validate)

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
