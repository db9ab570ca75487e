"""The outermost layer of an API: trace id, limits, security headers, metrics, unknown errors.

It bounds the bytes of a body and their time but looks at none, and knows no route. The trace id
comes from `traceparent` (W3C) or is new; it is in every log line, every problem, and `X-Trace-Id`.
"""

import logging
import re

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from shared import clock, ids
from shared.http.incoming import Held, Incoming, too_large
from shared.http.problem import problem_response
from shared.observability import metrics
from shared.observability.listener import App, Message, Receive, Scope, Send
from shared.observability.logging import TRACE
from shared.observability.registry import OTHER

logger = logging.getLogger(__name__)

TRACEPARENT = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
MAX_LENGTH_DIGITS = 20
"""Python refuses to read a number of thousands of digits; nobody sends one of more than these."""
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
SECURITY_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "Strict-Transport-Security": "max-age=31536000",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_SECURITY = [(name.lower().encode(), value.encode()) for name, value in SECURITY_HEADERS.items()]


class Edge:
    """ASGI middleware around the whole API."""

    def __init__(self, app: App, max_body_bytes: int, accepts_gzip: bool) -> None:
        self._app = app
        self._max_body_bytes = max_body_bytes
        self._accepts_gzip = accepts_gzip
        self._held = Held()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        trace, traceparent = _trace(headers.get("traceparent"))
        scope.setdefault("state", {}).update(trace=trace, traceparent=traceparent)
        token = TRACE.set(trace)
        started = clock.monotonic_seconds()
        incoming = Incoming(
            receive,
            self._held,
            max_bytes=self._max_body_bytes,
            expected="transfer-encoding" in headers or headers.get("content-length", "0") != "0",
        )
        status = 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                answer = MutableHeaders(scope=message)
                stated = {name for name, _ in answer.raw}
                answer.raw.extend(pair for pair in _SECURITY if pair[0] not in stated)
                answer["X-Trace-Id"] = trace
                if incoming.unfinished:
                    incoming.refused = True
                if incoming.refused:
                    answer["Connection"] = "close"
            elif incoming.refused and not message.get("more_body", False):
                await send({**message, "more_body": True})
                await incoming.drain()
                message = {"type": message["type"], "body": b"", "more_body": False}
            await send(message)

        try:
            refusal = self._refuse(scope, headers, trace)
            if refusal is not None:
                incoming.refused = True
                await refusal(scope, receive, send_with_headers)
            else:
                await self._app(scope, incoming.receive, send_with_headers)
        except ClientDisconnect:
            logger.info("the client left before its body was there")
        except Exception:  # the caller gets a 500 with a trace id, the log the stack
            if status:
                raise  # the answer has begun; the server closes the connection
            logger.exception("request failed", extra={"route": _route(scope)})
            detail = "Something went wrong here; the trace id leads to the log."
            await problem_response(500, detail, trace)(scope, receive, send_with_headers)
        finally:
            incoming.release()
            _count(scope, status, clock.monotonic_seconds() - started)
            TRACE.reset(token)

    def _refuse(self, scope: Scope, headers: Headers, trace: str) -> Response | None:
        """What no route may see: characters that cannot be stored, encodings not asked for."""
        if b"%00" in scope.get("raw_path", b"") or b"%00" in scope["query_string"]:
            return problem_response(400, "The URL holds the character %00.", trace)
        length = headers.get("content-length", "0")
        if not length.isdecimal() or len(length) > MAX_LENGTH_DIGITS:
            return problem_response(400, "Content-Length is no number.", trace)
        if int(length) > self._max_body_bytes:
            return problem_response(413, too_large(self._max_body_bytes), trace)
        encoding = headers.get("content-encoding", "identity").lower()
        if encoding == "identity" or (encoding == "gzip" and self._accepts_gzip):
            return None
        return problem_response(415, f"Content-Encoding {encoding[:20]!r} is not taken.", trace)


def traceparent_of(request: Request) -> str:
    """The W3C `traceparent` to give to what this request causes."""
    traceparent: str = request.state.traceparent
    return traceparent


def _trace(header: str | None) -> tuple[str, str]:
    """The trace id and the traceparent: the caller's when it is well formed, else new ones."""
    found = TRACEPARENT.fullmatch(header or "")
    if found is not None:
        return found[1], found[0]
    trace = ids.random_id().hex
    return trace, f"00-{trace}-{ids.random_id().hex[:16]}-01"


def _route(scope: Scope) -> str:
    """The template of the route that was met, else `other`; never the URL."""
    template: str = getattr(scope.get("route"), "path", None) or OTHER
    return template


def _count(scope: Scope, status: int, seconds: float) -> None:
    """A request that was cut off before its answer counts as 499."""
    method = scope["method"] if scope["method"] in METHODS else OTHER
    route = _route(scope)
    answered = str(status or 499)
    metrics.HTTP_REQUESTS.labels(method=method, route=route, status=answered).inc()
    metrics.HTTP_SECONDS.labels(method=method, route=route).observe(seconds)
