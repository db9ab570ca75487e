"""Who calls the collector: the source that a key belongs to, wherever the client could put it."""

import base64
import binascii

from fastapi import Request

from services.ingest.domain.source import Source
from services.ingest.domain.source_key import COLLECT, Scope
from services.ingest.storage.registry import Registry
from shared.errors import Forbidden, Unauthenticated
from shared.observability.metrics import AUTH_FAILURES_TOTAL

KEY_HEADER = "x-write-key"


def key_of(request: Request) -> str | None:
    """The key in the headers: the Basic user name, the Bearer token, or `X-Write-Key`."""
    authorization = request.headers.get("authorization")
    key = None if authorization is None else _authorized(authorization)
    return key or request.headers.get(KEY_HEADER, "").strip() or None


async def source_of(registry: Registry, key: str | None, scope: Scope = COLLECT) -> Source:
    """The source that calls.

    Raises Unauthenticated without a key that is known, Forbidden for one without the scope.
    """
    if key is None:
        AUTH_FAILURES_TOTAL.labels(reason="missing").inc()
        raise Unauthenticated(
            "A source key is needed: Basic user name, Bearer, `X-Write-Key` or `writeKey`."
        )
    try:
        source = await registry.source_of(key, scope)
    except Forbidden:
        AUTH_FAILURES_TOTAL.labels(reason="forbidden").inc()
        raise
    if source is None:
        AUTH_FAILURES_TOTAL.labels(reason="unknown").inc()
        raise Unauthenticated("This source key is not known, or it was revoked.")
    return source


def _authorized(header: str) -> str | None:
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
