"""Slow, endless and oversized requests on bare sockets: no victims, bounded memory."""

import asyncio
import contextlib
import gzip
import re
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import orjson
import psutil

from shared.http.incoming import BODY_SECONDS, DRAIN_SECONDS
from shared.observability.connection import HEAD_SECONDS, MAX_HEAD_BYTES
from tests.integration.ingest.conftest import Ingest
from tests.support.eventually import eventually

MEGABYTE = 1024 * 1024
TRACK: dict[str, Any] = {"type": "track", "event": "Seen", "userId": "u1"}
ENOUGH = 200 * MEGABYTE
"""No client gets near this of its ten gigabytes."""


class Bare:
    """One connection whose bytes the test chooses."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def send(self, content: bytes) -> None:
        self.writer.write(content)
        await self.writer.drain()

    async def answer(self, within: float = 10.0) -> bytes:
        """All that comes until the other side closes; what came, if it does so with a reset."""
        found = bytearray()
        async with asyncio.timeout(within):
            with contextlib.suppress(ConnectionError):
                while piece := await self.reader.read(65536):
                    found += piece
        return bytes(found)


@contextlib.asynccontextmanager
async def connected(ingest: Ingest) -> AsyncIterator[Bare]:
    url = httpx.URL(ingest.url)
    bare = Bare(*await asyncio.open_connection(url.host, url.port))
    try:
        yield bare
    finally:
        bare.writer.close()


def head(key: str, *more: str) -> bytes:
    lines = ("POST /v1/batch HTTP/1.1", "Host: x", f"X-Write-Key: {key}", *more)
    return "\r\n".join((*lines, "", "")).encode()


def resident(ingest: Ingest) -> int:
    """Resident memory of the collector in bytes."""
    size: int = psutil.Process(ingest.collector.pid).memory_info().rss
    return size


@contextlib.asynccontextmanager
async def undisturbed(ingest: Ingest, key: str, worst: float = 3.0) -> AsyncIterator[None]:
    """Ordinary requests during the block: each is answered 200, none late."""
    ready, stop = asyncio.Event(), asyncio.Event()
    times: list[float] = []

    async def ordinary() -> None:
        async with httpx.AsyncClient(auth=httpx.BasicAuth(key, ""), timeout=10) as client:
            # The first makes the topic of the channel; nobody disturbs yet.
            assert (await client.post(f"{ingest.url}/v1/track", json=TRACK)).status_code == 200
            ready.set()
            while not stop.is_set():
                began = time.monotonic()
                answer = await client.post(f"{ingest.url}/v1/track", json=TRACK)
                times.append(time.monotonic() - began)
                assert answer.status_code == 200
                await asyncio.sleep(0.05)

    running = asyncio.create_task(ordinary())
    await ready.wait()
    try:
        yield
    finally:
        stop.set()
        await running
    assert times
    assert max(times) < worst


async def test_ten_gigabytes_in_chunks(ingest: Ingest) -> None:
    _, key = await ingest.source()
    before = resident(ingest)

    async def endless() -> None:
        async with connected(ingest) as bare:
            await bare.send(head(key, "Transfer-Encoding: chunked"))
            chunk = b"%x\r\n" % MEGABYTE + b"x" * MEGABYTE + b"\r\n"
            sent = 0
            with contextlib.suppress(ConnectionError):
                while sent < 10 * 1024 * MEGABYTE:
                    await bare.send(chunk)
                    sent += MEGABYTE
            assert sent < ENOUGH
            answer = await bare.answer()
            assert answer.startswith(b"HTTP/1.1 413 ") or answer == b"", answer[:100]

    async with undisturbed(ingest, key):
        await asyncio.gather(*(endless() for _ in range(10)))
    assert resident(ingest) - before < 150 * MEGABYTE


async def test_what_is_somewhat_too_large_hears_so(ingest: Ingest) -> None:
    """A client that reads only when it has sent everything gets its 413, not a broken pipe."""
    _, key = await ingest.source()
    body = b"x" * (8 * MEGABYTE)
    for framing, content in (
        (f"Content-Length: {len(body)}", body),
        ("Transfer-Encoding: chunked", b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)),
    ):
        async with connected(ingest) as bare:
            await bare.send(head(key, framing) + content)
            answer = await bare.answer()
            assert answer.startswith(b"HTTP/1.1 413 ")
            assert b"connection: close" in answer.lower()
            problem = orjson.loads(answer.partition(b"\r\n\r\n")[2])
            assert problem["detail"] == f"A body may have {4 * MEGABYTE} bytes."


async def test_bombs(ingest: Ingest) -> None:
    _, key = await ingest.source()
    bomb = gzip.compress(b'{"batch":["' + b"\0" * (256 * MEGABYTE) + b'"]}', 6)
    assert len(bomb) < 2 * MEGABYTE
    before = resident(ingest)
    headers = {"content-encoding": "gzip", "x-write-key": key}
    async with undisturbed(ingest, key), httpx.AsyncClient(timeout=30) as client:
        for _ in range(20):
            answer = await client.post(f"{ingest.url}/v1/batch", content=bomb, headers=headers)
            assert answer.status_code == 413
    assert resident(ingest) - before < 200 * MEGABYTE


async def test_endless_heads(ingest: Ingest) -> None:
    _, key = await ingest.source()
    before = resident(ingest)

    async def pour(begin: bytes, again: bytes) -> None:
        async with connected(ingest) as bare:
            sent = 0
            with contextlib.suppress(ConnectionError):
                await bare.send(begin)
                while sent < ENOUGH:
                    await bare.send(again)
                    sent += len(again)
            assert sent < ENOUGH
            answer = await bare.answer()
            assert answer == b"" or answer.startswith((b"HTTP/1.1 431 ", b"HTTP/1.1 413 "))

    many = b"x-header: " + b"y" * 1000 + b"\r\n"
    async with undisturbed(ingest, key):
        await asyncio.gather(
            pour(b"POST /v1/batch HTTP/1.1\r\n", many),
            pour(b"POST /v1/batch HTTP/1.1\r\nx-long: ", b"y" * MAX_HEAD_BYTES),
            pour(b"POST /", b"y" * MAX_HEAD_BYTES),
            pour(head(key, "Transfer-Encoding: chunked") + b"1\r\nx\r\n0\r\n", many),
        )
    assert resident(ingest) - before < 150 * MEGABYTE


async def test_slow_clients_are_sent_away(ingest: Ingest) -> None:
    """Idle connections, heads and bodies byte by byte, and sixty of each at once."""
    _, key = await ingest.source()

    async def drip(begin: bytes, piece: bytes, limit: float) -> tuple[bytes, float]:
        async with connected(ingest) as bare:
            began = time.monotonic()
            await bare.send(begin)
            answer = asyncio.create_task(bare.answer(within=limit + 15))
            while not answer.done():
                with contextlib.suppress(ConnectionError):
                    await bare.send(piece)
                await asyncio.wait({answer}, timeout=1)
            return await answer, time.monotonic() - began

    body = head(key, "Content-Length: 1000")
    async with undisturbed(ingest, key):
        found = await asyncio.gather(
            *(drip(b"", b"", HEAD_SECONDS) for _ in range(60)),
            *(drip(b"POST /v1/batch HTTP/1.1\r\n", b"a: b\r\n", HEAD_SECONDS) for _ in range(60)),
            *(drip(body, b"x", BODY_SECONDS) for _ in range(60)),
        )
    for answer, seconds in found[:120]:
        assert answer == b""
        assert HEAD_SECONDS - 1 < seconds < HEAD_SECONDS + 5
    for answer, seconds in found[120:]:
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert BODY_SECONDS - 1 < seconds < BODY_SECONDS + 5


async def test_who_is_answered_early_and_goes_on_sending_is_sent_away(ingest: Ingest) -> None:
    async with connected(ingest) as bare:
        began = time.monotonic()
        await bare.send(head("csk_nobody", "Content-Length: 1000"))
        answer = asyncio.create_task(bare.answer(within=30))
        while not answer.done():
            with contextlib.suppress(ConnectionError):
                await bare.send(b"x")
            await asyncio.wait({answer}, timeout=0.5)
        assert (await answer).startswith(b"HTTP/1.1 401 ")
        assert time.monotonic() - began < DRAIN_SECONDS + 5


async def test_who_leaves_in_the_middle_is_no_error(ingest: Ingest) -> None:
    _, key = await ingest.source()

    async def left() -> float:
        line = r'concert_http_requests_total{.*route="/v1/batch",status="499".*} (.+)'
        found = re.search(line, await ingest.collector.metrics())
        return 0.0 if found is None else float(found[1])

    before = await left()
    for _ in range(5):
        async with connected(ingest) as bare:
            await bare.send(head(key, "Content-Length: 1000") + b"x")
    assert await eventually(left, until=lambda count: count == before + 5, within=10)
    assert "request failed" not in ingest.collector.log()


async def test_line_breaks_do_not_keep_a_connection(ingest: Ingest) -> None:
    async with connected(ingest) as bare:
        await bare.send(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await bare.reader.readuntil(b"}")).startswith(b"HTTP/1.1 200 ")
        began = time.monotonic()
        answer = asyncio.create_task(bare.answer(within=HEAD_SECONDS + 15))
        while not answer.done():
            with contextlib.suppress(ConnectionError):
                await bare.send(b"\r\n")
            await asyncio.wait({answer}, timeout=1)
        assert await answer == b""
        assert time.monotonic() - began < HEAD_SECONDS + 5
