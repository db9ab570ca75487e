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

from services.ingest.api.askers import EITHER, Asker, asker_of, own_source, subject_of
from services.ingest.api.viewers import Viewer, viewer_of
from services.ingest.domain.fields import MAX_TEXT
from services.ingest.domain.live_event import Filter, LiveEvent, Outcome
from services.ingest.storage.registry import Registry
from services.ingest.use_cases.watch_events import (
    MOST_LISTENERS,
    MOST_OF_ONE,
    Listener,
    LiveEvents,
    Notice,
)
from shared import clock
from shared.errors import Forbidden, Infrastructure, TooMany, Unauthenticated
from shared.http.problem import RETRY_AFTER, problem_response, trace_of
from shared.http.strict_json import api_router

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
        """Watch events as they arrive. A key with the scope `read` sees its own source's, masked.

        One token, or all keys of one source together, have four streams at most.
        """
        asker = await asker_of(request, registry)
        wanted = Filter(own_source(asker, source), channel, type, status)
        if live.is_full:
            detail = f"At most {MOST_LISTENERS} may watch one collector; try again later."
            return problem_response(503, detail, trace_of(request), headers=RETRY_AFTER)
        if live.has_enough(subject_of(asker)):
            raise TooMany(f"At most {MOST_OF_ONE} streams for one token or source.", 1)
        await registry.sources()  # or a 503, while one can still be answered
        stream = _stream(live, wanted, request, registry, asker)
        return StreamingResponse(stream, media_type=MEDIA_TYPE, headers={"X-Accel-Buffering": "no"})

    return router


async def _stream(
    live: LiveEvents, wanted: Filter, request: Request, registry: Registry, asker: Asker
) -> AsyncIterator[bytes]:
    listener = live.join(wanted, subject_of(asker))
    if listener is None:
        yield _notice(NO_PLACE)
        return
    try:
        async for part in _parts(listener, request, registry, asker):
            yield part
    finally:
        live.leave(listener)


async def _parts(
    listener: Listener, request: Request, registry: Registry, asker: Asker
) -> AsyncIterator[bytes]:
    """What goes out, until the listener ends or its token does."""
    now = clock.monotonic_seconds()
    beat_at, check_at = now + HEARTBEAT_SECONDS, now + CHECK_SECONDS
    yield HEARTBEAT
    while not listener.ended:
        taken = await listener.take(max(0.0, min(beat_at, check_at) - now))
        if taken:
            viewer = await viewer_of(asker, registry)
            yield b"".join(_written(each, viewer) for each in taken)
        now = clock.monotonic_seconds()
        if now >= check_at:
            check_at = now + CHECK_SECONDS
            if not await _is_still_allowed(request, registry):
                yield _notice(REVOKED)
                return
        if now >= beat_at:
            beat_at = now + HEARTBEAT_SECONDS
            yield HEARTBEAT
    yield _notice(STOPPED)


async def _is_still_allowed(request: Request, registry: Registry) -> bool:
    """Whether the token or key is still good; while that cannot be looked up, it is."""
    try:
        await asker_of(request, registry)
    except (Unauthenticated, Forbidden):
        return False
    except Infrastructure:
        return True
    return True


def _written(each: LiveEvent | Notice, viewer: Viewer) -> bytes:
    if isinstance(each, Notice):
        return _notice(each)
    if each.status == "accepted":
        return _event("touchpoint", viewer.touchpoint(each.body))
    message = each.body["message"]
    shown = None if message is None else viewer.sentence(message, each.source)
    return _event("failed", each.body | {"message": shown})


def _notice(notice: Notice) -> bytes:
    return _event(notice.name, notice.body)


def _event(name: str, body: dict[str, Any]) -> bytes:
    """One Server-Sent Event."""
    return b"event: %b\ndata: %b\n\n" % (name.encode(), orjson.dumps(body))
