"""Reads JSON bodies more strictly than the framework: the same verdict as on the Kafka way.

A body is JSON whatever its content type says: clients state wrong ones, curl a form's. (Callers
send a token or a key, which no foreign page can make a browser add.) Refused: `NaN`, `Infinity`,
lone surrogates, more than MAX_DEPTH levels and `\\u0000`, which PostgreSQL cannot store. Every
router of Concert is made by `api_router`, so that no route reads JSON otherwise.
"""

import json
import zlib
from collections.abc import Callable, Coroutine
from typing import Any

import orjson
from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute

from shared.errors import Malformed, TooLarge

ESCAPED_NUL = b"\\u0000"
MAX_DEPTH = 100
"""Levels of lists and objects; a condition of the greatest depth stays far below."""


class StrictRequest(Request):
    """A request whose body is JSON, and whose `json()` is strict."""

    def __init__(self, request: Request) -> None:
        others = [pair for pair in request.scope["headers"] if pair[0] != b"content-type"]
        scope = {**request.scope, "headers": [*others, (b"content-type", b"application/json")]}
        super().__init__(scope, request.receive)
        self.stated_type = request.headers.get("content-type", "")

    async def json(self) -> Any:
        """The body. Raises json.JSONDecodeError, which is answered with 400."""
        if not hasattr(self, "_strict"):
            self._strict = decode(await self.body())
        return self._strict


class StrictRoute(APIRoute):
    """A route that hands a StrictRequest to its handler."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_strictly(request: Request) -> Response:
            return await handle(StrictRequest(request))

        return handle_strictly


def stated_type_of(request: Request) -> str:
    """The content type as the caller stated it, empty without one."""
    assert isinstance(request, StrictRequest)  # noqa: S101 - what every route hands on
    return request.stated_type


def api_router(*, tags: list[str]) -> APIRouter:
    """A router whose routes read JSON strictly."""
    return APIRouter(route_class=StrictRoute, tags=list(tags))


def decode(body: bytes) -> Any:
    """The value of a JSON text. Raises json.JSONDecodeError (orjson's is one)."""
    value = orjson.loads(body)
    if ESCAPED_NUL in body and _holds_nul(value):
        raise json.JSONDecodeError("the character \\u0000 cannot be stored", "", 0)
    if body.count(b"{") + body.count(b"[") > MAX_DEPTH and _is_too_deep(value):
        raise json.JSONDecodeError(f"nested deeper than {MAX_DEPTH} levels", "", 0)
    return value


def inflate(body: bytes, limit: int) -> bytes:
    """Unpack a gzip body to at most `limit` bytes.

    Raises TooLarge beyond that, Malformed when it is no complete gzip stream.
    """
    unpacker = zlib.decompressobj(wbits=31)
    try:
        unpacked = unpacker.decompress(body, limit + 1)
    except zlib.error:
        raise Malformed("The body is not gzip, as Content-Encoding says.") from None
    if len(unpacked) > limit:
        raise TooLarge(f"The body unpacks to more than {limit} bytes.")
    if not unpacker.eof:
        raise Malformed("The gzip body is cut off.")
    return unpacked


def _is_too_deep(value: Any) -> bool:
    """Whether lists and objects are nested deeper than MAX_DEPTH. Not recursive."""
    level, depth = [value], 0
    while level:
        inside: list[Any] = []
        for part in level:
            if isinstance(part, dict):
                inside.extend(part.values())
            elif isinstance(part, list):
                inside.extend(part)
        level = [part for part in inside if isinstance(part, dict | list)]
        depth += 1
        if depth >= MAX_DEPTH and level:
            return True
    return False


def _holds_nul(value: Any) -> bool:
    """Whether any text in `value` holds U+0000. Not recursive: depth is the caller's choice."""
    waiting = [value]
    while waiting:
        match waiting.pop():
            case str() as text if "\x00" in text:
                return True
            case list() as items:
                waiting.extend(items)
            case dict() as members:
                waiting.extend(members)
                waiting.extend(members.values())
            case _:
                pass
    return False
