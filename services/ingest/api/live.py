"""`GET /v1/live`: events as they arrive, as Server-Sent Events.

`touchpoint`: an event that was read and goes to the profile service (`status` is `accepted`).
`failed`: a dead letter, with its reason. Between them `ready` (from here on everything is shown),
`dropped` (so many did not fit, the listener is too slow), `interrupted` (Kafka is away) and
`ended`. A stream has no memory: who reconnects sees what comes then.
"""

from collections.abc import AsyncIterator
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse

from services.ingest.api.askers import EITHER, asker_of, own_source, sees_personal_data
from services.ingest.domain.fields import MAX_TEXT
from services.ingest.domain.live_event import Filter, LiveEvent, Outcome
from services.ingest.storage.registry import Registry
from services.ingest.use_cases.watch_events import MOST_LISTENERS, Listener, LiveEvents, Notice
from shared import clock
from shared.errors import Forbidden, Infrastructure, Unauthenticated
from shared.http.masking import mask_touchpoint
from shared.http.problem import RETRY_AFTER, problem_response, trace_of
from shared.http.strict_json import api_router
from shared.observability.masking import clean

PATH = "/v1/live"
MEDIA_TYPE = "text/event-stream"
HEARTBEAT_SECONDS = 10.0
CHECK_SECONDS = 5.0
"""So a token or key that was revoked while it watches sees no more within this time."""
HEARTBEAT = b": heartbeat\n\n"
NO_PLACE = Notice("ended", {"detail": "There is no place left."})
REVOKED = Notice("ended", {"detail": "The token or key may not watch any more."})
STOPPED = Notice("ended", {"detail": "This process stops, or the listener took nothing."})
DOCUMENTED: dict[int | str, dict[str, Any]] = {
    200: {"description": "The stream.", "content": {MEDIA_TYPE: {"schema": {"type": "string"}}}}
}

Text = Annotated[str | None, Query(min_length=1, max_length=MAX_TEXT)]


def live_router(*, registry: Registry, live: LiveEvents) -> APIRouter:
    """The route; it checks tokens and source keys itself."""
    router = api_router(tags=["live"])

    @router.get(PATH, response_class=StreamingResponse, responses=DOCUMENTED, openapi_extra=EITHER)
    async def watch(
        request: Request,
        source: Text = None,
        channel: Text = None,
        type: Text = None,  # noqa: A002 - the name in the URL
        status: Outcome | None = None,
    ) -> Response:
        """Watch events as they arrive. A source key sees its own source's, masked."""
        asker = await asker_of(request, registry)
        wanted = Filter(own_source(asker, source), channel, type, status)
        if live.is_full:
            detail = f"At most {MOST_LISTENERS} may watch one collector; try again later."
            return problem_response(503, detail, trace_of(request), headers=RETRY_AFTER)
        stream = _stream(live, wanted, request, registry, masked=not sees_personal_data(asker))
        return StreamingResponse(stream, media_type=MEDIA_TYPE, headers={"X-Accel-Buffering": "no"})

    return router


async def _stream(
    live: LiveEvents, wanted: Filter, request: Request, registry: Registry, *, masked: bool
) -> AsyncIterator[bytes]:
    listener = live.join(wanted)
    if listener is None:
        yield _written(NO_PLACE, masked=masked)
        return
    try:
        async for part in _parts(listener, request, registry, masked=masked):
            yield part
    finally:
        live.leave(listener)


async def _parts(
    listener: Listener, request: Request, registry: Registry, *, masked: bool
) -> AsyncIterator[bytes]:
    """What goes out, until the listener ends or its token does."""
    now = clock.monotonic_seconds()
    beat_at, check_at = now + HEARTBEAT_SECONDS, now + CHECK_SECONDS
    yield HEARTBEAT
    while not listener.ended:
        taken = await listener.take(max(0.0, min(beat_at, check_at) - now))
        if taken:
            yield b"".join(_written(each, masked=masked) for each in taken)
        now = clock.monotonic_seconds()
        if now >= check_at:
            check_at = now + CHECK_SECONDS
            if not await _is_still_allowed(request, registry):
                yield _written(REVOKED, masked=masked)
                return
        if now >= beat_at:
            beat_at = now + HEARTBEAT_SECONDS
            yield HEARTBEAT
    yield _written(STOPPED, masked=masked)


async def _is_still_allowed(request: Request, registry: Registry) -> bool:
    """Whether the token or key is still good; while that cannot be looked up, it is."""
    try:
        await asker_of(request, registry)
    except (Unauthenticated, Forbidden):
        return False
    except Infrastructure:
        return True
    return True


def _written(each: LiveEvent | Notice, *, masked: bool) -> bytes:
    """One Server-Sent Event."""
    name, body = each.name if isinstance(each, Notice) else _NAMES[each.status], each.body
    if masked and isinstance(each, LiveEvent):
        body = _masked(each)
    return b"event: %b\ndata: %b\n\n" % (name.encode(), orjson.dumps(body))


_NAMES: dict[Outcome, str] = {"accepted": "touchpoint", "failed": "failed"}


def _masked(event: LiveEvent) -> dict[str, Any]:
    if event.status == "accepted":
        return mask_touchpoint(event.body)
    message = event.body["message"]
    return event.body | {"message": None if message is None else clean(message)}
