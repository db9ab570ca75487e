"""`/v1/snapshots`: for the orchestrator, which is asked what to do now and has milliseconds.

The answer is what an update of the profile would say: the same bytes as on `profile.updates`, so
that a condition holds here if and only if it holds there. A consent that was put a moment ago is
in it.
"""

from typing import Annotated

from fastapi import Path, Response

from services.profile.api.profiles import as_stored
from services.profile.api.state import State
from services.profile.use_cases.read_snapshot import PROFILE_ID, read_snapshot
from shared.access import Permission
from shared.contracts.identifiers import MAX_TYPE, MAX_VALUE
from shared.errors import NotFound
from shared.http.auth import Principal, requires
from shared.http.state import Engine
from shared.http.strict_json import api_router
from shared.postgres.transaction import autocommit, statement

router = api_router(tags=["snapshots"])


@router.get(
    "/v1/snapshots/{type}/{value:path}",
    response_class=Response,
    responses={
        200: {
            "description": "A message as on `profile.updates`, without a cause.",
            "content": {"application/json": {"schema": {"type": "object"}}},
        }
    },
)
async def get_snapshot(
    type: Annotated[str, Path(max_length=MAX_TYPE)],  # noqa: A002 - the name in the URL
    value: Annotated[str, Path(max_length=MAX_VALUE)],
    engine: Engine,
    state: State,
    _: Annotated[Principal, requires(Permission.READ_SNAPSHOTS)],
) -> Response:
    """The person an identifier points at, as a decision sees them; 404 when it points at nobody,
    or is one that many people share; 410 for the id of a profile that was erased."""
    rules = state.rules
    wanted = value if type == PROFILE_ID else as_stored(type, value, rules)
    async with statement(autocommit(engine)) as tx:
        found = await read_snapshot(tx, type, wanted, rules=rules, live=state.live)
    if found is None:
        raise NotFound(f"no profile has this {type}")
    return Response(found, media_type="application/json")
