"""One HTTP connection whose client is not trusted to be quick or brief.

The server waits for ever for the head of a request, and keeps heads of any length; a thousand slow
clients would take every place there is. Here a head has to come in time and be small, and whatever
one request sends altogether is bounded, read or not. (Bodies have limits of their own, at the edge
of the API.)
"""

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_SECONDS = 10.0
MAX_HEAD_BYTES = 64 * 1024
"""Request line and headers; a little more may pass when it all comes in one read."""
MAX_REQUEST_BYTES = 64 * 1024 * 1024
"""Beyond this the connection ends, also if its request was answered and the rest is thrown away."""
_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"content-length: 0\r\nconnection: close\r\n\r\n"
)


class Connection(HttpToolsProtocol):
    """uvicorn's connection with these limits."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client is there; the clock for its first request starts."""
        super().connection_made(transport)  # type: ignore[arg-type]  # as uvicorn narrows it
        self._taken = 0
        self._in_head = True
        self._timer: asyncio.TimerHandle | None = self.loop.call_later(HEAD_SECONDS, self._end)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count what comes, then let it be parsed."""
        self._taken += len(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._taken > MAX_REQUEST_BYTES:
            self.transport.abort()
        elif self._in_head and self._taken:
            if self._taken > MAX_HEAD_BYTES:
                self.transport.write(_TOO_LARGE)
                self.transport.close()
            elif self._timer is None:
                self._timer = self.loop.call_later(HEAD_SECONDS, self._end)

    def on_headers_complete(self) -> None:
        """A head is there in time."""
        self._stop_timer()
        self._in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """A request is there as a whole; what follows is the head of the next one."""
        self._taken = 0
        self._in_head = True
        super().on_message_complete()

    def _end(self) -> None:
        self._timer = None
        if not self.transport.is_closing():
            self.transport.close()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
