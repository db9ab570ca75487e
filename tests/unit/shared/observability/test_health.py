"""Readiness follows the checks within seconds, both ways, and says why."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from shared.errors import Infrastructure, Misconfigured
from shared.observability.health import CHECK_SECONDS, REFRESH_SECONDS, Health
from shared.observability.listener import listening
from shared.observability.metrics_server import metrics_app, serve_metrics
from shared.observability.registry import REGISTRY


class Server:
    """Something a process needs, that can be taken away."""

    def __init__(self) -> None:
        self.away = False
        self.hangs = False
        self.asked = 0

    async def check(self) -> None:
        self.asked += 1
        if self.hangs:
            await asyncio.sleep(60)
        if self.away:
            raise Infrastructure("postgres", "connection refused by ada@lovelace.org")


@pytest.fixture
def server() -> Server:
    return Server()


def health_of(server: Server, refresh: float = 0.0, limit: float = 0.05) -> Health:
    checks = {"postgres": server.check}
    return Health("profile.api", checks, refresh_seconds=refresh, check_seconds=limit)


async def test_it_turns_false_with_the_reason_and_true_again(server: Server) -> None:
    health = health_of(server)
    assert (await health.readiness()).ready
    server.away = True
    lost = await health.readiness()
    assert not lost.ready
    assert "connection refused" in lost.checks["postgres"]
    assert "lovelace" not in lost.checks["postgres"]
    assert REGISTRY.get_sample_value("concert_ready") == 0
    server.away = False
    assert (await health.readiness()).checks == {"postgres": "ok"}
    assert REGISTRY.get_sample_value("concert_ready") == 1


async def test_a_check_that_hangs_is_not_ready(server: Server) -> None:
    server.hangs = True
    state = await health_of(server).readiness()
    assert state.checks == {"postgres": "no answer within 0.05 s"}


async def test_many_who_ask_at_once_are_one_question(server: Server) -> None:
    health = health_of(server, refresh=60)
    await asyncio.gather(*(health.readiness() for _ in range(50)))
    assert server.asked == 1


async def test_a_hold_stands_until_it_is_released(server: Server) -> None:
    health = health_of(server)
    health.hold("channel.web/3", "offset out of range")
    held = await health.readiness()
    assert held.checks == {"postgres": "ok", "channel.web/3": "offset out of range"}
    assert not held.ready
    health.release("channel.web/3")
    assert (await health.readiness()).ready


def test_a_loss_is_seen_within_ten_seconds_even_by_a_probe_every_five() -> None:
    assert REFRESH_SECONDS + CHECK_SECONDS + 5 < 10


@asynccontextmanager
async def client_of(health: Health) -> AsyncIterator[httpx.AsyncClient]:
    async with (
        serve_metrics(health, "127.0.0.1", 0) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client,
    ):
        yield client


async def test_the_metrics_port_answers_the_three_paths_and_nothing_else(server: Server) -> None:
    async with client_of(health_of(server)) as client:
        live = await client.get("/livez")
        assert (live.status_code, live.json()) == (200, {"status": "alive", "role": "profile.api"})
        ready = await client.get("/readyz")
        assert (ready.status_code, ready.json()["status"]) == (200, "ready")
        scrape = await client.get("/metrics")
        assert scrape.status_code == 200
        assert "\nconcert_ready 1.0\n" in scrape.text
        assert (await client.get("/")).status_code == 404
        assert (await client.post("/metrics")).status_code == 405
        server.away = True
        lost = await client.get("/readyz")
        assert (lost.status_code, lost.json()["status"]) == (503, "not_ready")
        assert (await client.get("/livez")).status_code == 200
        assert "\nconcert_ready 0.0\n" in (await client.get("/metrics")).text


async def test_open_metrics_is_served_to_who_asks_for_it(server: Server) -> None:
    async with client_of(health_of(server)) as client:
        accept = {"Accept": "application/openmetrics-text; version=1.0.0"}
        answer = await client.get("/metrics", headers=accept)
        assert answer.headers["content-type"].startswith("application/openmetrics-text")
        assert answer.text.endswith("# EOF\n")
        samples = [line for line in answer.text.splitlines() if not line.startswith("#")]
        assert samples
        assert not any(sample.split("{")[0].split()[0].endswith("_created") for sample in samples)


async def test_a_port_in_use_is_named(server: Server) -> None:
    app = metrics_app(health_of(server))
    async with listening(app, "127.0.0.1", 0) as port:
        with pytest.raises(Misconfigured, match=f"port {port} on 127.0.0.1"):
            async with listening(app, "127.0.0.1", port):
                pass
