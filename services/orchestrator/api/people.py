"""`/v1/people/{profile_id}/erasure`: for the profile service, which waits for it."""

from typing import Annotated
from uuid import UUID

from pydantic import BaseModel

from services.orchestrator.storage import erasures
from shared.access import Permission
from shared.errors import NotFound
from shared.http.auth import Principal, requires
from shared.http.state import Engine
from shared.http.strict_json import api_router
from shared.postgres.transaction import transaction

router = api_router(tags=["people"])


class ErasureView(BaseModel):
    """How many rows of each store were erased."""

    erased: dict[str, int]


@router.get("/v1/people/{profile_id}/erasure")
async def get_erasure(
    profile_id: UUID, engine: Engine, _: Annotated[Principal, requires(Permission.ERASE)]
) -> ErasureView:
    """What was erased of a profile; 404 until it was."""
    async with transaction(engine) as tx:
        counts = await erasures.forgotten(tx, profile_id)
    if counts is None:
        raise NotFound(f"Nothing was erased of profile {profile_id} yet.")
    return ErasureView(erased=dict(counts))
