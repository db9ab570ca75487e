"""`POST /v1/events`: CloudEvents 1.0 over HTTP, binary, structured and in batches.

Answers as the other collector paths: 200 when the events are safe in Kafka, and never an error
because of one bad event in a batch. An empty batch is legal.
"""

from functools import partial
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import ORJSONResponse

from services.ingest.api.bodies import ANSWERS, accepted, body_of
from services.ingest.api.callers import key_of, source_of
from services.ingest.domain.cloudevents import BATCHED, REQUIRED, STRUCTURED
from services.ingest.domain.cloudevents_http import cloudevent_headers, open_cloudevents
from services.ingest.domain.envelope import MAX_EVENTS
from services.ingest.storage.registry import Registry
from services.ingest.use_cases.collect import Caller, Door, collect
from shared import clock
from shared.http.edge import traceparent_of
from shared.http.strict_json import api_router, stated_type_of

PATH = "/v1/events"
DIALECT = "cloudevents"

_EVENT: dict[str, Any] = {
    "type": "object",
    "required": list(REQUIRED),
    "properties": {name: {"type": "string", "minLength": 1} for name in REQUIRED},
}
_BODY: dict[str, Any] = {
    "requestBody": {
        "description": "One event, a list of events, or the data of an event whose attributes are"
        " in `ce-*` headers; may be packed with gzip.",
        "content": {
            f"{STRUCTURED}+json": {"schema": _EVENT},
            f"{BATCHED}+json": {
                "schema": {"type": "array", "maxItems": MAX_EVENTS, "items": {"type": "object"}}
            },
            "application/json": {"schema": {}},
        },
    },
    "parameters": [
        {
            "name": f"ce-{name}",
            "in": "header",
            "required": False,
            "schema": {"type": "string"},
            "description": "Needed unless the content type names CloudEvents.",
        }
        for name in REQUIRED
    ],
    "security": [{"SourceKey": []}, {"WriteKey": []}],
}


def cloudevents_router(*, registry: Registry, door: Door) -> APIRouter:
    """The route; it checks source keys itself."""
    router = api_router(tags=["collector"])

    async def events(request: Request) -> dict[str, Any]:
        received_at = clock.now()
        source = await source_of(registry, key_of(request))
        content_type = stated_type_of(request)
        stated = cloudevent_headers(content_type, request.headers.raw)
        caller = Caller(source, DIALECT, received_at, traceparent_of(request), stated)
        body = await body_of(request, caller, door)
        take_apart = partial(open_cloudevents, content_type, stated)
        return accepted(await collect(body, take_apart, caller, door))

    router.add_api_route(
        PATH,
        events,
        methods=["POST"],
        summary="Take CloudEvents: binary, structured or a batch.",
        response_class=ORJSONResponse,
        responses=ANSWERS,
        openapi_extra=_BODY,
    )
    return router
