"""Answers the plain requests of a route before the framework looks at them.

For the few routes whose caller has milliseconds: matching, dependencies and validation of the
framework cost more than the answer. The route stands in its router as every other does, with its
document and its permission; only what is plainly right is answered here, and whatever is not goes
on to that route, which says what is wrong.
"""

from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match

from shared.http.auth import BEARER, Requires
from shared.observability.listener import Message, Receive, Scope, Send

GOES_ON = "concert.goes_on"
Asked = TypeVar("Asked")


class Quick(BaseRoute, Generic[Asked]):
    """The quick way of the route `path` (its template): `read` gives what is asked for, or None
    for whatever is not plainly right; `answer` is given that, from callers who may ask."""

    def __init__(
        self,
        method: str,
        path: str,
        requires: Requires,
        read: Callable[[Request], Awaitable[Asked | None]],
        answer: Callable[[Request, Asked], Awaitable[Response]],
    ) -> None:
        self.path = path
        self._method = method
        self._fixed, brace, _ = path.partition("{")
        self._is_whole = not brace
        self._requires = requires
        self._read = read
        self._answer = answer

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Whether this is a request of the route that was not passed on."""
        if scope["type"] != "http" or scope["method"] != self._method or GOES_ON in scope:
            return Match.NONE, {}
        path: str = scope["path"]
        ours = path == self._fixed if self._is_whole else path.startswith(self._fixed)
        return (Match.FULL, {"route": self}) if ours else (Match.NONE, {})

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass the request on as it came."""
        request = Request(scope, receive)
        asked = await self._read(request)
        if asked is None:
            await _pass_on(request, send)
            return
        await self._requires(request, await BEARER(request))
        response = await self._answer(request, asked)
        await response(scope, receive, send)


async def _pass_on(request: Request, send: Send) -> None:
    body: bytes | None = await request.body()

    async def receive() -> Message:
        nonlocal body
        if body is None:
            return await request.receive()
        message = {"type": "http.request", "body": body, "more_body": False}
        body = None
        return message

    scope = {**request.scope, GOES_ON: True}
    try:
        await request.app.router.app(scope, receive, send)
    finally:
        request.scope["route"] = scope.get("route")
