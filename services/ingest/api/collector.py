"""`POST /v1/{track,identify,page,screen,group,alias,batch}`: what the Segment SDKs speak.

Answers exactly 200, and only when the events are safe in Kafka; 401 for a key that is not known;
400 for a body that cannot be taken apart; 413 above the limits; 503 with `Retry-After` when Kafka
does not take them. Never an error because of one bad event: clients would drop the whole batch.
The path says what a body is; content types are not looked at, because clients state wrong ones.
"""

import base64
import binascii
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import ORJSONResponse

from services.ingest.domain.decode import MALFORMED
from services.ingest.domain.envelope import write_key
from services.ingest.domain.segment import KINDS
from services.ingest.domain.source import Source
from services.ingest.storage.registry import Registry
from services.ingest.use_cases.collect import Caller, collect, refuse
from services.ingest.use_cases.publish_together import GroupPublisher
from shared import clock
from shared.contracts.topics import Topics
from shared.errors import InvalidData, Malformed, Unauthenticated
from shared.http.edge import traceparent_of
from shared.http.strict_json import api_router, inflate
from shared.observability.metrics import AUTH_FAILURES_TOTAL

MAX_BODY_BYTES = 4 * 1024 * 1024
"""Largest body, as sent and unpacked."""
BATCH = "batch"
PATHS = frozenset(f"/v1/{name}" for name in (*KINDS, BATCH))

_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "A Segment call, or `{batch: [...]}`; may be packed with gzip.",
        "content": {"application/json": {"schema": {"type": "object"}}},
    },
    "security": [{"SourceKey": []}],
}


def collector_router(*, registry: Registry, publisher: GroupPublisher, topics: Topics) -> APIRouter:
    """The routes; they check source keys themselves."""
    router = api_router(tags=["collector"])
    for name in (*KINDS, BATCH):
        router.add_api_route(
            f"/v1/{name}",
            _endpoint(None if name == BATCH else name, registry, publisher, topics),
            methods=["POST"],
            name=name,
            summary=f"Take {'a batch of events' if name == BATCH else f'one {name} call'}.",
            response_class=ORJSONResponse,
            openapi_extra=_BODY,
        )
    return router


def _endpoint(
    kind: str | None, registry: Registry, publisher: GroupPublisher, topics: Topics
) -> Callable[[Request], Awaitable[dict[str, Any]]]:
    async def take(request: Request) -> dict[str, Any]:
        received_at = clock.now()
        sent = await request.body()
        packed = request.headers.get("content-encoding", "").lower() == "gzip"
        key = key_in(request.headers.get("authorization"))
        if key is not None:
            source = await source_of(registry, key)
            caller = Caller(source, received_at, traceparent_of(request))
            body = await _unpacked(sent, packed, caller, publisher, topics)
        else:
            body = inflate(sent, MAX_BODY_BYTES) if packed else sent
            source = await source_of(registry, write_key(body))
            caller = Caller(source, received_at, traceparent_of(request))
        accepted = await collect(body, kind, caller, topics=topics, publisher=publisher)
        return {"success": True, "accepted": accepted}

    return take


async def _unpacked(
    sent: bytes, packed: bool, caller: Caller, publisher: GroupPublisher, topics: Topics
) -> bytes:
    """The body in clear. What is no gzip is kept as it came among the failed events."""
    if not packed:
        return sent
    try:
        return inflate(sent, MAX_BODY_BYTES)
    except Malformed as error:
        failure = InvalidData(MALFORMED, error.detail)
        await refuse(sent, failure, caller, topics=topics, publisher=publisher)
        raise


async def source_of(registry: Registry, key: str | None) -> Source:
    """The source that calls. Raises Unauthenticated without a key that is known."""
    if key is None:
        AUTH_FAILURES_TOTAL.labels(reason="missing").inc()
        raise Unauthenticated("A source key is needed: Basic user name, `writeKey` or Bearer.")
    source = await registry.source_of(key)
    if source is None:
        AUTH_FAILURES_TOTAL.labels(reason="unknown").inc()
        raise Unauthenticated("This source key is not known, or it was revoked.")
    return source


def key_in(header: str | None) -> str | None:
    """The key in an Authorization header: the Basic user name, or the Bearer token."""
    if header is None:
        return None
    scheme, _, value = header.partition(" ")
    if scheme.lower() == "bearer":
        return value.strip() or None
    if scheme.lower() != "basic":
        return None
    try:
        decoded = base64.b64decode(value.strip(), validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return decoded.partition(":")[0] or None
