"""`POST /v1/templates/{key}:test-send`: what a customer would get, sent to oneself."""

from asyncio import to_thread
from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from services.orchestrator.api.preview import PreviewEvent, PreviewRequest, facts_for
from services.orchestrator.api.profile_client import ProfileClient
from services.orchestrator.api.sight import note_shown
from services.orchestrator.domain.channel_content import check_content
from services.orchestrator.domain.content import ContentFailed, parse_template
from services.orchestrator.storage import saved
from services.orchestrator.use_cases.send_test import NOBODY, channel_of, send_test
from shared.access import Permission
from shared.contracts.topics import Topics
from shared.errors import NotFound, Problem, Unprocessable
from shared.http.auth import Principal, requires
from shared.http.draft_routes import Key
from shared.http.masking import may_see
from shared.http.state import Engine
from shared.http.strict_json import api_router
from shared.kafka.messages import PartitionCounts
from shared.postgres.transaction import transaction

UNKNOWN: dict[str, Any] = {"traits": {}, "computed": {}}


@dataclass(frozen=True, slots=True)
class Sending:
    """What the API needs to queue a test."""

    topics: Topics
    counts: PartitionCounts


class SendTestRequest(BaseModel):
    """To which address; filled for a profile or for nobody. `channel` is the template's when not
    given."""

    model_config = ConfigDict(extra="forbid")

    to: str = Field(min_length=1, max_length=320)
    profile_id: UUID | None = None
    channel: str | None = Field(None, max_length=64)
    locale: str | None = Field(None, max_length=35)
    event: PreviewEvent = PreviewEvent()
    context: dict[str, Any] = {}


class SendTestView(BaseModel):
    """The test that was queued; `GET /v1/deliveries/{action_id}` says how far it came."""

    action_id: UUID
    channel: str
    locale: str
    content: dict[str, Any]


def send_test_router(profiles: ProfileClient, sending: Sending) -> APIRouter:
    """The route; `profiles` reads the customer."""
    router = api_router(tags=["templates"])

    @router.post("/v1/templates/{key}:test-send", status_code=202)
    async def post_test_send(
        key: Key,
        body: SendTestRequest,
        engine: Engine,
        principal: Annotated[Principal, requires(Permission.PUBLISH)],
    ) -> SendTestView:
        """Send the present version, marked as a test; personal data is masked for who may not
        see it."""
        async with transaction(engine) as tx:
            stored = await saved.find(tx, saved.Kind.TEMPLATE, key)
            if stored is None:
                raise NotFound(f"There is no template {key}.")
            channel = await channel_of(tx, body.channel or stored.body.get("channel"))
        template = await to_thread(parse_template, stored.body, key=key, version=stored.version)
        profile = UNKNOWN
        clear = may_see(principal) and body.profile_id is not None
        if body.profile_id is not None:
            profile = await profiles.read(body.profile_id, masked=not clear)
        asked = PreviewRequest(
            profile_id=body.profile_id or NOBODY, event=body.event, context=body.context
        )
        wanted = body.locale or profile["traits"].get("locale")
        try:
            facts = facts_for(profile, asked)
            content = await to_thread(template.content.render, facts, wanted)
            check_content(channel, content)
        except ContentFailed as error:
            problem = Problem("content", "render", str(error))
            raise Unprocessable("The template cannot be rendered.", [problem]) from error
        sent = await send_test(
            engine,
            channel,
            template=key,
            to=body.to,
            profile_id=body.profile_id,
            content=content,
            topics=sending.topics,
            counts=sending.counts,
            who=principal.who,
        )
        if clear:
            async with transaction(engine) as tx:
                await note_shown(tx, principal, [(profile["id"], ["content"])])
        return SendTestView(
            action_id=sent.action_id,
            channel=sent.channel,
            locale=template.content.locale_for(wanted),
            content=content,
        )

    return router
