"""`/v1/events/{id}/identity`: how a touchpoint came to the profile it belongs to."""

from typing import Annotated
from uuid import UUID

from fastapi import Path, Query, Response

from services.profile.api.answers import json_answer
from services.profile.api.identity_schemas import EventIdentityView
from services.profile.api.sight import Sees
from services.profile.use_cases.explain_identity import explain_identity
from shared.errors import NotFound
from shared.http.masking import mask_identifiers
from shared.http.state import Engine
from shared.http.strict_json import api_router
from shared.ids import touchpoint_id
from shared.postgres.transaction import transaction

MAX_ID = 512

router = api_router(tags=["identity"])


@router.get("/v1/events/{event_id}/identity", response_model=EventIdentityView)
async def get_event_identity(
    event_id: Annotated[str, Path(min_length=1, max_length=MAX_ID)],
    engine: Engine,
    sees: Sees,
    source: Annotated[
        str | None, Query(max_length=256, description="Then the id is the publisher's own.")
    ] = None,
) -> Response:
    """What was matched, demoted and blocked, by which rule; the profile then and now."""
    id_ = _touchpoint(event_id) if source is None else touchpoint_id(source, event_id)
    async with transaction(engine) as tx:
        found = await explain_identity(tx, str(id_))
        if found.identifiers:
            await sees.note(tx, {found.profile_now or str(id_): ["event.identifiers"]})
    view = found._asdict()
    listed = [
        {"type": one.type, "value": one.value, "outcome": one.outcome, "rule": one.rule}
        | {"because": one.because}
        for one in found.identifiers
    ]
    view["identifiers"] = mask_identifiers(listed) if sees.masked else listed
    return json_answer({"id": str(id_)} | view)


def _touchpoint(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise NotFound(f"{text!r} is no touchpoint's id: give the source as well") from None
