"""How many events the collector takes over HTTP, beside an endpoint that only reads the body."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import cycle

import httpx
import orjson

from bench import machine
from bench.stage import Stage
from deploy.local.ports import HOST

SOURCE = "bench-collector"
BATCH = 100
BODIES = 200
"""Different bodies of a run; they are sent in turn."""
CONNECTIONS = 8
WARM_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class CollectRun:
    """What was answered 200 within the measured time; latencies in milliseconds, CPU in seconds."""

    name: str
    events_a_request: int
    requests: int
    seconds: float
    milliseconds: list[float]
    cpu: dict[str, float]

    @property
    def rate(self) -> float:
        """Events a second."""
        return self.requests * self.events_a_request / self.seconds

    def percentile(self, share: float) -> float:
        """The answering time that this share of requests did not exceed."""
        ordered = sorted(self.milliseconds)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


async def run_collecting(stage: Stage, seconds: float) -> list[CollectRun]:
    """Batches and single events to the collector, and the same batches to the bare endpoint."""
    await stage.start_ready("ingest", "collector")
    key = await _new_key(stage)
    port = stage.ports.base + 1
    batches, singles = _requests(key, "batch", BATCH), _requests(key, "track", 1)
    async with bare_endpoint(port + 500) as (bare_port, bare_pid):
        bare_pids = {"bare endpoint": bare_pid}
        runs = [
            await _load("bare endpoint, before", batches, BATCH, bare_port, seconds, bare_pids),
            await _load("collector, batches", batches, BATCH, port, seconds, stage.pids),
            await _load("collector, single events", singles, 1, port, seconds, stage.pids),
            await _load("bare endpoint, after", batches, BATCH, bare_port, seconds, bare_pids),
        ]
    stage.stop_roles()
    return runs


async def _new_key(stage: Stage) -> str:
    headers = {"Authorization": f"Bearer {stage.admin_token}"}
    base = f"http://{HOST}:{stage.ports.base + 1}"
    source = {"id": SOURCE, "name": "Benchmark", "channel": "web", "dialect": "segment"}
    async with httpx.AsyncClient(base_url=base, headers=headers, timeout=30) as api:
        (await api.post("/v1/sources", json=source)).raise_for_status()
        answer = await api.post(f"/v1/sources/{SOURCE}/keys")
        answer.raise_for_status()
        return str(answer.json()["key"])


def _requests(key: str, path: str, events: int) -> list[bytes]:
    """Whole HTTP requests, as a Segment SDK would send them."""
    made = []
    for number in range(BODIES):
        calls = [_call(number * events + n, events > 1) for n in range(events)]
        body = orjson.dumps(
            {"batch": calls, "sentAt": calls[0]["timestamp"]} if events > 1 else calls[0]
        )
        head = (
            f"POST /v1/{path} HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer {key}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        made.append(head.encode() + body)
    return made


def _call(number: int, typed: bool) -> dict[str, object]:
    return {
        **({"type": "track"} if typed else {}),
        "messageId": f"bench-{number}",
        "event": "Product Viewed",
        "anonymousId": f"visitor-{number % 5000}",
        "timestamp": "2026-01-01T00:00:00.000Z",
        "properties": {"product_id": f"p{number % 300}", "price": 19.9, "currency": "EUR"},
        "context": {"locale": "fr-FR", "library": {"name": "bench", "version": "1"}},
    }


async def _load(
    name: str,
    requests: Sequence[bytes],
    events: int,
    port: int,
    seconds: float,
    pids: dict[str, int],
) -> CollectRun:
    """Send from several connections at once, each waiting for its answer."""
    bodies = cycle(requests)
    begin = time.perf_counter() + WARM_SECONDS
    end = begin + seconds
    taken: list[float] = []

    async def connection() -> None:
        reader, writer = await asyncio.open_connection(HOST, port)
        try:
            while (sent := time.perf_counter()) < end:
                writer.write(next(bodies))
                await _answer(reader)
                if begin <= sent:
                    taken.append((time.perf_counter() - sent) * 1000)
        finally:
            writer.close()

    async def used() -> dict[str, float]:
        await asyncio.sleep(begin - time.perf_counter())
        before = machine.cpu_seconds(pids)
        await asyncio.sleep(end - time.perf_counter())
        after = machine.cpu_seconds(pids)
        return {name: after[name] - before[name] for name in after}

    connections = asyncio.gather(*(connection() for _ in range(CONNECTIONS)))
    cpu, _ = await asyncio.gather(used(), connections)
    return CollectRun(name, events, len(taken), seconds, taken, cpu)


async def _answer(reader: asyncio.StreamReader) -> None:
    """Read one answer. Raises RuntimeError unless it is 200."""
    head = await reader.readuntil(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200 "):
        raise RuntimeError(f"the answer was {head.partition(bytes([13]))[0].decode()}")
    (length,) = [
        int(line.partition(b":")[2])
        for line in head.lower().split(b"\r\n")
        if line.startswith(b"content-length:")
    ]
    await reader.readexactly(length)


@asynccontextmanager
async def bare_endpoint(port: int) -> AsyncIterator[tuple[int, int]]:
    """The bare endpoint in a process of its own: its port and process id."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "bench.bare", str(port))
    try:
        for _ in range(100):
            try:
                _, writer = await asyncio.open_connection(HOST, port)
            except OSError:
                await asyncio.sleep(0.1)
            else:
                writer.close()
                break
        yield port, process.pid
    finally:
        process.terminate()
        await process.wait()
