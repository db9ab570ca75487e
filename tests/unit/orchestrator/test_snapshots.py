"""The client that reads a profile within milliseconds, against a server that does what it likes."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from services.orchestrator.connectors.snapshots import AT_ONCE, Snapshots
from shared.errors import Gone, Infrastructure
from tests.unit.orchestrator.build import profile_json, uid

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
TOLD = json.dumps(
    {"cause": {}, "profile_id": uid("ada"), "seq": 7, "profile": profile_json(uid("ada"))}
).encode()


def answer(body: bytes = TOLD, status: str = "200 OK", *more: str) -> bytes:
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *more]
    return "\r\n".join([*head, "", ""]).encode() + body


class Server:
    """Gives the answers in turn, the last one again and again. None: it says nothing."""

    def __init__(self, *answers: bytes | None, close: bool = False) -> None:
        self._answers = list(answers)
        self._close = close
        self.connections = 0
        self.requests: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                self.requests.append(await reader.readuntil(b"\r\n\r\n"))
                given = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
                if given is None:
                    await asyncio.sleep(60)
                    return
                writer.write(given)
                await writer.drain()
                if self._close:
                    return
        except (EOFError, ConnectionError):
            return
        finally:
            writer.close()


@asynccontextmanager
async def asking(server: Server, deadline: float = 20.0) -> AsyncIterator[Snapshots]:
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    snapshots = Snapshots(f"http://127.0.0.1:{port}/base/", "cst_x", deadline=deadline)
    try:
        yield snapshots
    finally:
        await snapshots.close()
        listening.close()


async def test_it_reads_a_person_over_one_connection() -> None:
    server = Server(answer())
    async with asking(server) as snapshots:
        for _ in range(3):
            person = await snapshots.person("loyalty_id", "L 1/é")
            assert person is not None
            assert (person.profile_id, person.version) == (uid("ada"), 7)
            assert person.profile.traits == {"first_name": "Ada"}
            assert json.loads(person.profile_json)["id"] == uid("ada")
    assert server.connections == 1
    first = server.requests[0].decode()
    assert first.startswith("GET /base/v1/snapshots/loyalty_id/L%201%2F%C3%A9 HTTP/1.1\r\n")
    assert "\r\nAuthorization: Bearer cst_x\r\n" in first


async def test_nobody_is_no_failure() -> None:
    async with asking(Server(answer(b"{}", "404 Not Found"))) as snapshots:
        assert await snapshots.person("email", "a@b.c") is None


async def test_who_was_erased_is_gone() -> None:
    async with asking(Server(answer(b"{}", "410 Gone"))) as snapshots:
        with pytest.raises(Gone):
            await snapshots.person("profile_id", uid("ada"))


@pytest.mark.parametrize(
    "given",
    [
        answer(b"{}"),
        answer(b"no json"),
        answer(TOLD, "503 Service Unavailable"),
        answer(TOLD, "401 Unauthorized"),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"what?\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
    ],
    ids=lambda given: given[:40].decode(),
)
async def test_what_is_no_profile_is_a_failure(given: bytes) -> None:
    async with asking(Server(given)) as snapshots:
        for _ in range(2):
            with pytest.raises(Infrastructure):
                await snapshots.person("email", "a@b.c")


async def test_a_connection_that_the_server_closed_is_opened_again() -> None:
    server = Server(answer(), close=True)
    async with asking(server) as snapshots:
        for _ in range(3):
            assert await snapshots.person("email", "a@b.c") is not None
    told = Server(answer(TOLD, "200 OK", "Connection: close"))
    async with asking(told) as snapshots:
        for _ in range(3):
            assert await snapshots.person("email", "a@b.c") is not None
    assert told.connections == 3


async def test_nobody_listening_is_a_failure() -> None:
    snapshots = Snapshots("http://127.0.0.1:9", "cst_x")
    with pytest.raises(Infrastructure):
        await snapshots.person("email", "a@b.c")


async def test_what_does_not_come_in_time_is_given_up_and_harms_nobody_after() -> None:
    """More are given up than may be read at once; afterwards everybody is answered."""
    silent = 3 * AT_ONCE
    server = Server(*[None] * silent, answer())
    async with asking(server, deadline=0.2) as snapshots:
        begun = time.monotonic()
        given_up = await asyncio.gather(
            *(snapshots.person("email", "a@b.c") for _ in range(silent)), return_exceptions=True
        )
        assert {type(one) for one in given_up} == {Infrastructure}
        assert time.monotonic() - begun < 30
    async with asking(Server(answer())) as snapshots:
        asked = [asyncio.create_task(snapshots.person("email", "a@b.c")) for _ in range(40)]
        for task in asked[::2]:
            task.cancel()
        found = await asyncio.gather(*asked, return_exceptions=True)
        assert all(one is not None for one in found)
        assert await snapshots.person("email", "a@b.c") is not None
