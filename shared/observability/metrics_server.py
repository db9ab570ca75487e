"""`/livez`, `/readyz` and `/metrics` of a process, on its metrics port and its own event loop.

On the worker's own loop on purpose: a worker that hangs does not answer. This port is for the
operators' network only; it never serves anything else.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import orjson
from prometheus_client.exposition import choose_encoder

from shared import clock
from shared.observability.health import Health
from shared.observability.listener import App, Receive, Scope, Send, listening
from shared.observability.metrics import EVENT_LOOP_LAG
from shared.observability.registry import REGISTRY

JSON = "application/json"
SAMPLE_SECONDS = 0.5


def metrics_app(health: Health) -> App:
    """The ASGI application behind the metrics port."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        status, content_type, body = await _answer(health, scope)
        headers = [
            (b"content-type", content_type.encode()),
            (b"content-length", str(len(body)).encode()),
            (b"cache-control", b"no-store"),
            (b"x-content-type-options", b"nosniff"),
        ]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return app


@contextlib.asynccontextmanager
async def serve_metrics(health: Health, host: str, port: int) -> AsyncIterator[int]:
    """Serve the metrics port while the block runs, and sample the loop; yields the port."""
    sampler = asyncio.create_task(sample_event_loop(), name="sample-event-loop")
    try:
        async with listening(metrics_app(health), host, port, drain_seconds=1) as bound:
            yield bound
    finally:
        sampler.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await sampler


async def sample_event_loop() -> None:
    """Measure for ever how late the loop runs what is due."""
    while True:
        due = clock.monotonic_seconds() + SAMPLE_SECONDS
        await asyncio.sleep(SAMPLE_SECONDS)
        EVENT_LOOP_LAG.observe(max(0.0, clock.monotonic_seconds() - due))


async def _answer(health: Health, scope: Scope) -> tuple[int, str, bytes]:
    """Status, content type and body."""
    if scope["method"] not in ("GET", "HEAD"):
        return 405, JSON, b'{"status":"method not allowed"}'
    match scope["path"]:
        case "/livez":
            return 200, JSON, orjson.dumps({"status": "alive", "role": health.role})
        case "/readyz":
            state = await health.readiness()
            return 200 if state.ready else 503, JSON, orjson.dumps(state.body(health.role))
        case "/metrics":
            await health.readiness()  # so that concert_ready is as fresh as the rest
            headers = dict(scope["headers"])
            encode, content_type = choose_encoder(headers.get(b"accept", b"").decode("latin-1"))
            return 200, content_type, encode(REGISTRY)
        case _:
            return 404, JSON, b'{"status":"not found"}'
