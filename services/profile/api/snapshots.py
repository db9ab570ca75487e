"""`/v1/snapshots`: for the orchestrator, which is asked what to do now and has milliseconds.

The answer is what an update of the profile would say: the same bytes as on `profile.updates`, so
that a condition holds here if and only if it holds there. A consent that was put a moment ago is
in it.
"""

from typing import Annotated

from fastapi import Path, Request, Response
from sqlalchemy.ext.asyncio import AsyncEngine

from services.profile.api.profiles import as_stored
from services.profile.api.state import ApiState, State
from services.profile.use_cases.read_snapshot import PROFILE_ID, read_snapshot
from shared.access import Permission
from shared.contracts.identifiers import MAX_TYPE, MAX_VALUE
from shared.errors import NotFound
from shared.http.auth import Principal, Requires, requires
from shared.http.quick import Quick
from shared.http.state import Engine
from shared.http.strict_json import api_router
from shared.postgres.direct import direct

router = api_router(tags=["snapshots"])
FOLDER = "/v1/snapshots/"
PATH = f"{FOLDER}{{type}}/{{value:path}}"


@router.get(
    PATH,
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
    return await _answer(engine, state, type, value)


def quick_snapshots(engine: AsyncEngine, state: ApiState) -> Quick[tuple[str, str]]:
    """The quick way of the route."""

    async def answer(_: Request, asked: tuple[str, str]) -> Response:
        return await _answer(engine, state, *asked)

    return Quick("GET", PATH, Requires(Permission.READ_SNAPSHOTS), _read, answer)


async def _read(request: Request) -> tuple[str, str] | None:
    path: str = request.scope["path"]
    type_, slash, value = path.removeprefix(FOLDER).partition("/")
    short = len(type_) <= MAX_TYPE and len(value) <= MAX_VALUE
    plain = type_ and slash and path.isprintable()
    return (type_, value) if plain and short else None


async def _answer(engine: AsyncEngine, state: ApiState, type_: str, value: str) -> Response:
    rules = state.rules
    wanted = value if type_ == PROFILE_ID else as_stored(type_, value, rules)
    async with direct(engine) as tx:
        found = await read_snapshot(tx, type_, wanted, rules=rules, live=state.live)
    if found is None:
        raise NotFound(f"no profile has this {type_}")
    return Response(found, media_type="application/json")
