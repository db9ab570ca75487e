"""`/v1/spaces/{space}/collections/users/profiles/{type}:{value}/…`: profiles in the shape of
Segment's Profile API, so that its clients can read them.

Read only. The token is the user name of Basic authentication (or a Bearer token), any name of a
space is taken, an external id is `type:value` or `profile_id:…`. Pages hold `limit` items from
`next` on; errors are `{"error": {"code", "message"}}`, and `Request-Id` leads to the log.
"""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRouter
from pydantic import AwareDatetime
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.responses import JSONResponse

from services.profile.api import segment_views as views
from services.profile.api.answers import json_answer
from services.profile.api.profiles import as_stored
from services.profile.api.segment_views import Json, page_of
from services.profile.api.sight import Sight, plain_sight
from services.profile.api.state import ApiState, State
from services.profile.api.views import profile_json, touchpoint_json
from services.profile.domain.profile import StoredProfile
from services.profile.storage.touchpoints import BEGINNING, END, Only, Position
from services.profile.use_cases.read_profile import (
    read_profile,
    read_profile_by_identifier,
    read_timeline,
)
from shared.access import Permission
from shared.contracts.identifiers import MAX_TYPE, MAX_VALUE
from shared.errors import Malformed, NotFound, Refused, TooMany, Unauthenticated
from shared.http.auth import Principal, requires
from shared.http.pagination import Paging, instant, next_cursor
from shared.http.problem import STATUS, trace_of
from shared.http.state import Engine
from shared.http.strict_json import StrictRoute
from shared.ids import is_uuid

BASE = "/v1/spaces/{space}/collections/{collection}/profiles/{external_id:path}"
DEFAULT_LIMIT = 10
MAX_LIMIT = 200
PROFILE_TYPES = ("profile_id", "segment_id")
"""Types that name a profile by its own id."""


class SegmentRoute(StrictRoute):
    """A route whose answers and errors look as clients of the Profile API expect."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_as_segment(request: Request) -> Response:
            try:
                answer = await handle(request)
            except Refused as error:
                answer = _error(error)
            except RequestValidationError as error:
                answer = _error(Malformed(str(error.errors()[0]["msg"])))
            answer.headers["Request-Id"] = trace_of(request)
            return answer

        return handle_as_segment


def _error(error: Refused) -> Response:
    status = int(STATUS.get(type(error), 400))
    code, headers = "invalid_request_error", {}
    match error:
        case Unauthenticated():
            code, headers = "authentication_error", {"WWW-Authenticate": 'Basic realm="concert"'}
        case NotFound():
            code = "not_found"
        case TooMany():
            code, headers = "rate_limit_error", {"Retry-After": str(error.retry_after)}
        case Malformed():
            code = "validation_error"
        case _:
            pass
    body = {"error": {"code": code, "message": error.detail}}
    return JSONResponse(body, status, headers=headers)


router = APIRouter(route_class=SegmentRoute, tags=["segment"])

Caller = Annotated[Principal, requires(Permission.READ, basic=True)]
Limit = Annotated[int, Query(ge=1, description=f"At most {MAX_LIMIT} are given.")]
Next = Annotated[str | None, Query(max_length=1000)]
Names = Annotated[str, Query(max_length=4000, description="With commas between.")]


@dataclass(frozen=True, slots=True)
class Asked:
    """Whose profile is wanted, by whom, and where the request came in."""

    url: str
    sight: Sight
    state: ApiState
    collection: str
    external_id: str

    async def read(self, tx: AsyncConnection) -> StoredProfile:
        """Raises NotFound, Malformed."""
        if self.collection != "users":
            raise NotFound(f"There is no collection {self.collection[:50]!r}; `users` is.")
        type_, colon, value = self.external_id.partition(":")
        if not colon and is_uuid(type_):
            return await read_profile(tx, type_)
        if not type_ or not value:
            raise Malformed("An external id is written `type:value`.")
        if type_ in PROFILE_TYPES:
            if not is_uuid(value):
                raise NotFound("Profile was not found.")
            return await read_profile(tx, value)
        stored_form = as_stored(type_, value, self.state.rules)
        return await read_profile_by_identifier(tx, type_, stored_form)


async def _asked(
    request: Request,
    principal: Caller,
    state: State,
    space: Annotated[str, Path(max_length=100)],
    collection: Annotated[str, Path(max_length=100)],
    external_id: Annotated[str, Path(max_length=MAX_TYPE + MAX_VALUE + 1)],
) -> Asked:
    return Asked(
        request.url.path,
        plain_sight(principal, state.rules.registry),
        state,
        collection,
        external_id,
    )


Whose = Annotated[Asked, Depends(_asked)]


@router.get(BASE + "/traits")
async def get_traits(
    asked: Whose,
    engine: Engine,
    limit: Limit = DEFAULT_LIMIT,
    next: Next = None,  # noqa: A002 - the name in the URL
    include: Names = "",
    class_: Annotated[str | None, Query(alias="class")] = None,
    verbose: bool = False,
) -> Response:
    """Traits by name; segments are traits that are true, and what is computed is a trait too.

    `class=audience` gives segments alone, `class=computed_trait` what is computed.
    """
    async with asked.sight.reading(engine) as tx:
        stored = await asked.read(tx)
        view = profile_json(stored, asked.state.rules, provenance=True, masked=asked.sight.masked)
        found = views.traits(view, stored, class_)
        wanted = {name: found[name] for name in views.listed(include) or found if name in found}
        names, more = page_of(sorted(wanted), next, min(limit, MAX_LIMIT))
        traits = {name: wanted[name] if verbose else wanted[name]["value"] for name in names}
        shown = {name: one for name, one in view["traits"].items() if name in traits}
        await asked.sight.note_profiles(tx, [{"id": stored.id, "traits": shown}])
    return json_answer({"traits": traits, "cursor": views.cursor(asked.url, limit, more)})


@router.get(BASE + "/external_ids")
async def get_external_ids(
    asked: Whose,
    engine: Engine,
    limit: Limit = DEFAULT_LIMIT,
    next: Next = None,  # noqa: A002 - the name in the URL
    include: Names = "",
    verbose: bool = False,
) -> Response:
    """Identifiers, the strongest type first; `include` names types."""
    async with asked.sight.reading(engine) as tx:
        stored = await asked.read(tx)
        view = profile_json(stored, asked.state.rules, provenance=False, masked=asked.sight.masked)
        types = views.listed(include)
        ids = [one for one in view["identifiers"] if not types or one["type"] in types]
        places = [f"{place:05d}" for place in range(len(ids))]
        names, more = page_of(places, next, min(limit, MAX_LIMIT))
        chosen = [ids[int(place)] for place in names]
        await asked.sight.note_profiles(tx, [{"id": stored.id, "identifiers": chosen}])
    data = [views.external_id(one) for one in chosen]
    return json_answer({"data": data, "cursor": views.cursor(asked.url, limit, more)})


@router.get(BASE + "/events")
async def get_events(
    asked: Whose,
    engine: Engine,
    limit: Limit = DEFAULT_LIMIT,
    next: Next = None,  # noqa: A002 - the name in the URL
    include: Names = "",
    exclude: Names = "",
    start: AwareDatetime | None = None,
    end: AwareDatetime | None = None,
    sort: Annotated[str, Query(pattern="^(asc|desc)$")] = "desc",
) -> Response:
    """Touchpoints as Segment's events, of any age; `include` and `exclude` name event types."""
    only = Only(
        types=views.listed(include),
        without=views.listed(exclude),
        since=start or BEGINNING,
        until=end or END,
    )
    found = Paging(limit, next).after(instant, _id)
    before: Position | None = None if found is None else (found[0], found[1])
    most = min(limit, MAX_LIMIT)
    async with asked.sight.reading(engine) as tx:
        stored = await asked.read(tx)
        rows = await read_timeline(
            tx, stored, limit=most + 1, before=before, only=only, oldest_first=sort == "asc"
        )
        rows, rest = rows[:most], rows[most:]
        await asked.sight.note(tx, {stored.id: ["timeline.touchpoint"] if rows else []})
    masked = asked.sight.masked
    data = [
        views.event(touchpoint_json(one, asked.state.rules.registry, masked=masked), stored.id)
        for one in rows
    ]
    more = next_cursor((rows[-1].occurred_at, rows[-1].id)) if rest else None
    return json_answer({"data": data, "cursor": views.cursor(asked.url, limit, more)})


@router.get(BASE + "/metadata")
async def get_metadata(asked: Whose, engine: Engine, verbose: bool = False) -> Response:
    """When the profile was made and last seen, and its first and last event."""
    async with asked.sight.reading(engine) as tx:
        stored = await asked.read(tx)
        first = await read_timeline(tx, stored, limit=1, oldest_first=True)
        last = await read_timeline(tx, stored, limit=1)
    ends: list[Json] = [
        touchpoint_json(one, asked.state.rules.registry, masked=True) for one in (*first, *last)
    ]
    return json_answer({"metadata": views.metadata(stored, ends)})


def _id(value: Any) -> str:
    if not isinstance(value, str) or not is_uuid(value):
        raise ValueError("no id")
    return value
