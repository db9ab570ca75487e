"""A real receiver of webhooks on loopback that answers as a test tells it to, or does not."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

HANG, RESET, ANSWER_THEN_RESET = "hang", "reset", "answer then reset"
LINGER_OFF = struct.pack("ii", 1, 0)


@dataclass(frozen=True)
class Answer:
    """What to answer; more headers as raw lines."""

    status: int = 200
    headers: tuple[str, ...] = ()
    body: bytes = b"{}"


@dataclass(frozen=True)
class Call:
    """One request as it came; the names of headers are in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def key(self) -> str:
        return self.headers["webhook-id"]


Script = Callable[[Call], Answer | str]


@dataclass
class Receiver:
    """What came, and what is said to it: `script` is asked for each call."""

    port: int = 0
    calls: list[Call] = field(default_factory=list)
    script: Script = field(default=lambda _: Answer())

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hooks/concert"

    @property
    def keys(self) -> list[str]:
        return [call.key for call in self.calls]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, request by request."""
        try:
            while True:
                call = await _read(reader)
                self.calls.append(call)
                said = self.script(call)
                if said == HANG:
                    await asyncio.sleep(600)
                if said == RESET:
                    _reset(writer)
                    return
                answer = said if isinstance(said, Answer) else Answer()
                lines = (f"HTTP/1.1 {answer.status} X", f"content-length: {len(answer.body)}",
                         *answer.headers)  # fmt: skip
                writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + answer.body)
                await writer.drain()
                if said == ANSWER_THEN_RESET:
                    _reset(writer)
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()


async def _read(reader: asyncio.StreamReader) -> Call:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    method, path, _ = head[0].split(" ")
    headers = {
        name.lower(): value.strip()
        for name, _, value in (line.partition(":") for line in head[1:] if line)
    }
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Call(method, path, headers, body)


def _reset(writer: asyncio.StreamWriter) -> None:
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_OFF)
    writer.transport.abort()


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """A receiver on a free port."""
    receiver = Receiver()
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(receiver.serve(reader, writer))
        tasks.add(task)
        await asyncio.wait({task})

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
