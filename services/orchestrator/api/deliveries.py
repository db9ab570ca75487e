"""`/v1/deliveries/{action_id}/events`: channel systems say what became of an action."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Header
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from services.orchestrator.use_cases.say_outcome import Saying, say_outcome
from shared.access import Permission
from shared.contracts.delivery import OutcomeName
from shared.contracts.topics import OWN_SOURCE, Topics
from shared.http.auth import Principal, requires
from shared.http.state import Engine
from shared.http.strict_json import api_router
from shared.kafka.messages import PartitionCounts

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=200,
        pattern=r"^[\x21-\x7e]+$",
        description="The same key, action and type are one event, however often it is sent.",
    ),
]


class DeliveryEvent(BaseModel):
    """What became of an action. `channel` is where that happened, when it is not the action's own
    channel; `at` is when, when it was not just now."""

    model_config = ConfigDict(extra="forbid")

    type: OutcomeName
    channel: str | None = Field(None, pattern=r"^[a-z0-9_]{1,64}$")
    reason: str | None = Field(None, min_length=1, max_length=200)
    at: AwareDatetime | None = None


class EventView(BaseModel):
    """The event that was published; its receipt is `GET /v1/events/{id}?source=` on the
    collector."""

    id: str
    source: str
    touchpoint_id: UUID


def deliveries_router(topics: Topics, counts: PartitionCounts) -> APIRouter:
    """The route; `topics` and `counts` say where events go."""
    router = api_router(tags=["deliveries"])

    @router.post("/v1/deliveries/{action_id}/events", status_code=202)
    async def post_event(
        action_id: UUID,
        body: DeliveryEvent,
        engine: Engine,
        principal: Annotated[Principal, requires(Permission.SERVE)],
        idempotency_key: IdempotencyKey = None,
    ) -> EventView:
        """Publish the event on its channel; what follows from it is shown with the action."""
        saying = Saying(body.type, body.channel, body.reason, body.at, idempotency_key)
        said = await say_outcome(
            engine, action_id, saying, who=principal.who, topics=topics, counts=counts
        )
        return EventView(id=said.message_id, source=OWN_SOURCE, touchpoint_id=said.touchpoint_id)

    return router
