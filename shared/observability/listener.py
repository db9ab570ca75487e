"""Serves an ASGI application on a port of this process's own event loop, for as long as a block.

Used for the metrics port of every role and for the APIs. It takes no signals: stopping is the
lifecycle's business.
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, MutableMapping
from typing import Any

import uvicorn

from shared.errors import Misconfigured
from shared.observability.connection import Connection

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

BACKLOG = 1024
CONNECTIONS = 1000
"""Beyond this many at once the answer is 503."""
KEEP_ALIVE_SECONDS = 30


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to the process."""
        yield


@contextlib.asynccontextmanager
async def listening(
    app: App, host: str, port: int, *, drain_seconds: int = 5
) -> AsyncIterator[int]:
    """Serve `app` while the block runs and yield the port (a free one for port 0).

    On leaving, no new request is taken and the running ones get `drain_seconds`.
    Raises Misconfigured when the port is in use.
    """
    listener = _bind(host, port)
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        lifespan="off",
        ws="none",
        http=Connection,
        backlog=BACKLOG,
        limit_concurrency=CONNECTIONS,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=drain_seconds,
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]), name=f"listen:{port}")
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        await serving


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise Misconfigured([f"port {port} on {host}: {error.strerror}"]) from None
    listener.listen(BACKLOG)  # callers queue from here on, even before the loop accepts them
    listener.setblocking(False)
    return listener
