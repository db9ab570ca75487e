"""`GET /v1/deliveries/{action_id}`: how far a built-in connector came with an action."""

from dataclasses import replace
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel

from services.orchestrator.api.sight import mask_reason
from services.orchestrator.storage import deliveries
from services.orchestrator.storage.deliveries import StoredDelivery
from services.orchestrator.use_cases.absent import absent
from shared.access import Permission
from shared.http.auth import Principal, requires
from shared.http.masking import may_see
from shared.http.state import Engine
from shared.http.strict_json import api_router
from shared.postgres.transaction import transaction

router = api_router(tags=["actions"])


class DeliveryView(BaseModel):
    """The delivery, then its retraction if it was taken back."""

    items: list[StoredDelivery]


@router.get("/v1/deliveries/{action_id}")
async def get_delivery(
    action_id: UUID, engine: Engine, principal: Annotated[Principal, requires(Permission.READ)]
) -> DeliveryView:
    """State, tries and reason; 404 for an action that no built-in connector delivers."""
    async with transaction(engine) as tx:
        found = await deliveries.find(tx, action_id)
        if not found:
            raise await absent(tx, "delivery", action_id)
    if not may_see(principal):
        found = [replace(one, reason=mask_reason(one.reason)) for one in found]
    return DeliveryView(items=found)
