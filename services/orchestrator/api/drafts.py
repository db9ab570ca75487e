"""`/v1/rules` and `/v1/contact-policies`: edited as a draft, published as a version.

Both have the same routes, so they are declared once. A route only translates between HTTP and a
use case.
"""

from functools import partial
from typing import Any

from fastapi import APIRouter, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from services.orchestrator.api.configuration_body import (
    PublishRequest,
)
from services.orchestrator.connectors.profile_definitions import ProfileDefinitions
from services.orchestrator.storage import rule_leaves
from services.orchestrator.storage.draft_kind import Kind
from services.orchestrator.use_cases.change_status import change_status
from services.orchestrator.use_cases.publish_draft import publish_draft
from services.orchestrator.use_cases.save_draft import save_draft
from services.orchestrator.use_cases.validate_draft import validate_draft
from shared.http.draft_routes import Key, Publisher, add_drafting, add_reading
from shared.http.drafts import DraftView, draft_view
from shared.http.etag import IfMatch, check_if_match
from shared.http.state import Engine
from shared.http.strict_json import api_router
from shared.postgres.drafts import Draft


def draft_router(kind: Kind, path: str, definitions: ProfileDefinitions) -> APIRouter:
    """The routes of a kind under `path`, such as `/v1/rules`; event leaves are registered at the
    profile service."""
    router = api_router(tags=[f"{kind.words}s" if kind is Kind.RULE else "contact policies"])
    more = _warming if kind is Kind.RULE else None
    add_reading(router, kind, path, named=kind.words, more=more)
    _add_writing(router, kind, path, definitions)
    _add_status_changes(router, kind, path)
    return router


async def _warming(tx: AsyncConnection, draft: Draft) -> dict[str, Any]:
    """Whether the live version waits until its event leaves are counted."""
    return {"warming": await rule_leaves.is_warming(tx, draft.key)}


def _add_writing(router: APIRouter, kind: Kind, path: str, definitions: ProfileDefinitions) -> None:
    validate = partial(validate_draft, definitions=definitions)
    add_drafting(router, kind, path, save=save_draft, validate=validate)

    @router.post(path + "/{key}:publish", name=f"publish_{kind}")
    async def publish(
        key: Key,
        engine: Engine,
        response: Response,
        principal: Publisher,
        body: PublishRequest | None = None,
        if_match: IfMatch = None,
    ) -> DraftView:
        """Make the draft the next version, live on every worker within two seconds; a rule that
        counts past touchpoints once they are counted (`warming` until then). A draft that is live
        already makes no new version: the answer says `unchanged`."""
        published = await publish_draft(
            engine,
            kind,
            key,
            register=definitions.register_leaves,
            may_replace=partial(check_if_match, if_match),
            who=principal.who,
        )
        view = draft_view(published.draft, response)
        return view if published.is_new else view.model_copy(update={"unchanged": True})


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
