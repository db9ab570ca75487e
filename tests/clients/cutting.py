"""A proxy on loopback between Kafka clients and the broker: it passes bytes on, and cuts.

It knows nothing of Kafka. The broker tells clients of this listener that it is where the proxy is,
so they come back through it after each cut. One in the midst of a request leaves the broker with
its beginning; one before an answer leaves the client not knowing whether its records are there.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple

from deploy.local.ports import HOST

IN_REQUEST, BEFORE_ANSWER = "in the midst of a request", "before an answer"
CHUNK = 16 * 1024


class Forwarded(NamedTuple):
    """A broker's ports: where everybody finds it, where the proxy does, and the proxy's own."""

    bootstrap: str
    behind: int
    proxy: int

    @property
    def proxy_url(self) -> str:
        """Where clients find the proxy."""
        return f"{HOST}:{self.proxy}"


class Cut(NamedTuple):
    """Cut the first connection that has sent so many bytes, either way."""

    where: str
    after_bytes: int


class _Connection:
    """One client's connection and its counterpart to the broker."""

    def __init__(self, cuts: list[Cut], seen: Counter[str]) -> None:
        self.cut = asyncio.Event()
        self._cuts = cuts
        self._seen = seen
        self._sent = 0

    async def requests(self, client: asyncio.StreamReader, broker: asyncio.StreamWriter) -> None:
        while not self.cut.is_set() and (data := await client.read(CHUNK)):
            if self._due(IN_REQUEST, len(data)):
                broker.write(data[: len(data) // 2])
                await broker.drain()
                self._take()
                return
            self._sent += len(data)
            broker.write(data)
            await broker.drain()

    async def answers(self, broker: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        while not self.cut.is_set() and (data := await broker.read(CHUNK)):
            if self._due(BEFORE_ANSWER, 0):
                self._take()
                return
            client.write(data)
            await client.drain()

    def _due(self, where: str, more: int) -> bool:
        if not self._cuts or self._cuts[0].where != where:
            return False
        return self._sent + more >= self._cuts[0].after_bytes

    def _take(self) -> None:
        self._seen[self._cuts.pop(0).where] += 1
        self.cut.set()


@asynccontextmanager
async def cutting_proxy(forwarded: Forwarded, cuts: Sequence[Cut]) -> AsyncIterator[Counter[str]]:
    """A running proxy that makes these cuts, one after the other; yields how many it has made."""
    waiting, seen = list(cuts), Counter[str]()

    async def serve(client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        broker, to_broker = await asyncio.open_connection(HOST, forwarded.behind)
        connection = _Connection(waiting, seen)
        ways = [
            asyncio.ensure_future(connection.requests(client, to_broker)),
            asyncio.ensure_future(connection.answers(broker, to_client)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            to_broker.close()
            to_client.transport.abort()

    server = await asyncio.start_server(serve, HOST, forwarded.proxy)
    try:
        yield seen
    finally:
        server.close()
        await server.wait_closed()
