"""`POST /v1/{track,identify,page,screen,group,alias,batch}`: what the Segment SDKs speak.

Browsers say the same in short: `/v1/{t,i,p,s,g,a,b}`. Answers exactly 200, and only when the
events are safe in Kafka; 401 for a key that is not known; 400 for a body that cannot be taken
apart; 413 above the limits; 429 for a source above its rate; 503 with `Retry-After` when Kafka does
not take them. Never an error because of one bad event: clients would drop the whole batch.
The path says what a body is; content types are not looked at, because clients state wrong ones.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import ORJSONResponse

from services.ingest.api.bodies import ANSWERS, MAX_BODY_BYTES, accepted, body_of, is_packed
from services.ingest.api.callers import key_of, source_of
from services.ingest.domain.envelope import (
    MAX_EVENTS,
    segment_headers,
    segment_records,
    write_key,
)
from services.ingest.domain.segment import KINDS
from services.ingest.storage.registry import Registry
from services.ingest.use_cases.collect import Caller, Door, collect
from shared import clock
from shared.http.edge import traceparent_of
from shared.http.strict_json import api_router, inflate

DIALECT = "segment"
BATCH = "batch"
NAMES = (*KINDS, BATCH)
PATHS = frozenset(path for name in NAMES for path in (f"/v1/{name}", f"/v1/{name[0]}"))

_CALL: dict[str, Any] = {"type": "object"}
_CALLS: dict[str, Any] = {
    "type": "object",
    "description": f"`batch` is needed: a list of calls, at most {MAX_EVENTS}.",
}


def collector_router(*, registry: Registry, door: Door) -> APIRouter:
    """The routes; they check source keys themselves."""
    router = api_router(tags=["collector"])
    for name in NAMES:
        what = "a batch of events" if name == BATCH else f"one {name} call"
        endpoint = _endpoint(None if name == BATCH else name, registry, door)
        for path, called, summary in (
            (f"/v1/{name}", name, f"Take {what}."),
            (f"/v1/{name[0]}", f"{name}_short", f"Take {what}; the short form of browsers."),
        ):
            router.add_api_route(
                path,
                endpoint,
                methods=["POST"],
                name=called,
                summary=summary,
                response_class=ORJSONResponse,
                responses=ANSWERS,
                openapi_extra=_described(_CALLS if name == BATCH else _CALL),
            )
    return router


def _described(schema: dict[str, Any]) -> dict[str, Any]:
    return {
        "requestBody": {
            "required": True,
            "description": "May be packed with gzip, under any content type.",
            "content": {"application/json": {"schema": schema}},
        },
        "security": [{"SourceKey": []}, {"WriteKey": []}],
    }


def _endpoint(
    kind: str | None, registry: Registry, door: Door
) -> Callable[[Request], Awaitable[dict[str, Any]]]:
    take_apart, stated = partial(segment_records, kind=kind), segment_headers(kind)

    async def take(request: Request) -> dict[str, Any]:
        received_at = clock.now()
        key = key_of(request)
        if key is not None:
            source = await source_of(registry, key)
            caller = Caller(source, DIALECT, received_at, traceparent_of(request), stated)
            body = await body_of(request, caller, door)
        else:
            sent = await request.body()
            body = inflate(sent, MAX_BODY_BYTES) if is_packed(request) else sent
            source = await source_of(registry, write_key(body))
            caller = Caller(source, DIALECT, received_at, traceparent_of(request), stated)
        return accepted(await collect(body, take_apart, caller, door))

    return take
