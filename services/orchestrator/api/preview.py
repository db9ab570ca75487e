"""`POST /v1/templates/{key}:preview`: what one customer would read."""

from asyncio import to_thread
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from services.orchestrator.api.profile_client import ProfileClient
from services.orchestrator.api.sight import note_shown
from services.orchestrator.domain.content import ContentFailed, parse_template
from services.orchestrator.storage import saved
from shared.access import Permission
from shared.conditions.facts import Facts
from shared.errors import NotFound, Problem, Unprocessable
from shared.http.auth import Principal, requires
from shared.http.draft_routes import Key
from shared.http.masking import may_see
from shared.http.state import Engine
from shared.http.strict_json import api_router
from shared.postgres.transaction import transaction


class PreviewEvent(BaseModel):
    """The event that the template is filled from, as far as it uses one."""

    model_config = ConfigDict(extra="forbid")

    type: str | None = Field(None, max_length=200)
    channel: str | None = Field(None, max_length=64)
    source: str | None = Field(None, max_length=200)
    properties: dict[str, Any] = {}


class PreviewRequest(BaseModel):
    """For whom; `locale` is the profile's own when not given."""

    model_config = ConfigDict(extra="forbid")

    profile_id: UUID
    locale: str | None = Field(None, max_length=35)
    event: PreviewEvent = PreviewEvent()
    context: dict[str, Any] = {}


class PreviewView(BaseModel):
    """The rendered fields, and what they were made of."""

    template: str
    version: int
    profile_id: UUID
    locale: str
    content: dict[str, Any]


def preview_router(profiles: ProfileClient) -> APIRouter:
    """The route; `profiles` reads the customer."""
    router = api_router(tags=["templates"])

    @router.post("/v1/templates/{key}:preview")
    async def preview(
        key: Key,
        body: PreviewRequest,
        engine: Engine,
        principal: Annotated[Principal, requires(Permission.READ)],
    ) -> PreviewView:
        """Render the present version; personal data is masked for who may not see it."""
        async with transaction(engine) as tx:
            stored = await saved.find(tx, saved.Kind.TEMPLATE, key)
        if stored is None:
            raise NotFound(f"There is no template {key}.")
        template = await to_thread(parse_template, stored.body, key=key, version=stored.version)
        masked = not may_see(principal)
        profile = await profiles.read(body.profile_id, masked=masked)
        wanted = body.locale or profile["traits"].get("locale")
        try:
            content = await to_thread(template.content.render, facts_for(profile, body), wanted)
        except ContentFailed as error:
            problem = Problem("content", "render", str(error))
            raise Unprocessable("The template cannot be rendered.", [problem]) from error
        if not masked:
            async with transaction(engine) as tx:
                await note_shown(tx, principal, [(profile["id"], ["content"])])
        return PreviewView(
            template=key,
            version=stored.version,
            profile_id=UUID(profile["id"]),
            locale=template.content.locale_for(wanted),
            content=content,
        )

    return router


def facts_for(profile: dict[str, Any], body: PreviewRequest) -> Facts:
    """What the template may read: the profile as the profile API shows it, and the event."""
    return Facts(
        profile=profile["traits"],
        computed=profile["computed"],
        event=body.event.properties,
        event_type=body.event.type,
        event_channel=body.event.channel,
        event_source=body.event.source,
        context=body.context,
    )
