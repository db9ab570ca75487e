"""`POST /v1/webhooks/{source_id}`: any JSON, or a form; the source's mapping says what it means.

The key may stand in the address (`?key=`), for senders that can state nothing else. The body goes
to Kafka as it came and is read by the worker, so a mapping that is wrong loses nothing.
"""

from functools import partial
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import ORJSONResponse

from services.ingest.api.bodies import ANSWERS, accepted, body_of
from services.ingest.api.callers import key_of, source_of
from services.ingest.api.source_request import SourceId
from services.ingest.domain.envelope import webhook_records
from services.ingest.domain.form import FORM, form_headers
from services.ingest.storage.registry import Registry
from services.ingest.use_cases.collect import Caller, Door, collect
from shared import clock
from shared.errors import Conflict, Unauthenticated
from shared.http.edge import traceparent_of
from shared.http.strict_json import api_router, stated_type_of

PATH = "/v1/webhooks/{source_id}"
DIALECT = "webhook"

_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "Any JSON, or the fields of a form; may be packed with gzip.",
        "content": {
            "application/json": {"schema": {}},
            FORM: {"schema": {"type": "object", "additionalProperties": {"type": "string"}}},
        },
    },
    "parameters": [
        {
            "name": "key",
            "in": "query",
            "required": False,
            "schema": {"type": "string"},
            "description": "The source's key, for senders that cannot set a header.",
        }
    ],
    "security": [{"SourceKey": []}, {"WriteKey": []}, {"QueryKey": []}],
}


def webhooks_router(*, registry: Registry, door: Door) -> APIRouter:
    """The route; it checks source keys itself."""
    router = api_router(tags=["collector"])

    async def webhook(source_id: SourceId, request: Request) -> dict[str, Any]:
        received_at = clock.now()
        key = key_of(request) or request.query_params.get("key") or None
        source = await source_of(registry, key)
        if source.id != source_id:
            raise Unauthenticated("This key belongs to another source.")
        if source.dialect != DIALECT:
            raise Conflict(f"The source speaks {source.dialect}; a webhook needs a mapping.")
        stated = form_headers(stated_type_of(request))
        caller = Caller(source, DIALECT, received_at, traceparent_of(request), stated)
        body = await body_of(request, caller, door)
        take_apart = partial(webhook_records, source_id=source.id, stated=stated)
        return accepted(await collect(body, take_apart, caller, door))

    router.add_api_route(
        PATH,
        webhook,
        methods=["POST"],
        summary="Take a webhook call; the source's mapping says what it means.",
        response_class=ORJSONResponse,
        responses=ANSWERS,
        openapi_extra=_BODY,
    )
    return router
