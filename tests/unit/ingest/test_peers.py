"""What the other services answer, and what is made of an answer that does not come."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from services.ingest.api import peers
from services.ingest.api.peers import Counted, Peers
from services.ingest.domain.receipt import Applied, Decided, Progress
from shared.errors import Infrastructure

PROGRESS: dict[str, Any] = {
    "status": "waiting",
    "examined": 0,
    "of": None,
    "matched": 0,
    "left_out": 0,
}
DECISION: dict[str, Any] = {
    "id": "d1",
    "at": "2026-11-21T10:00:00.000Z",
    "outcome": "sent",
    "action_ids": ["a1"],
}


def answering(answer: Callable[[httpx.Request], Any]) -> Peers:
    """Peers that both answer like this."""

    def client() -> httpx.AsyncClient:
        transport = httpx.MockTransport(answer)
        return httpx.AsyncClient(transport=transport, base_url="http://peer")

    return Peers(client(), client())


async def test_answers_are_read() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        bodies: dict[str, Any] = {
            "/v1/touchpoints/t1": {
                "id": "t1",
                "profile_id": "p1",
                "reason": None,
                "duplicates": 2,
                "source": "shop",
            },
            "/v1/touchpoints/t2": {
                "id": "t2",
                "profile_id": None,
                "reason": "audience",
                "duplicates": 0,
                "source": "shop",
                "audience": PROGRESS,
            },
            "/v1/touchpoint-counters/a%2Fb": {"accepted": 3, "duplicate": 1},
            "/v1/decisions?touchpoint_id=t1&limit=50": {
                "items": [DECISION | {"sentence": "Sent."}],
                "next_cursor": None,
            },
        }
        return httpx.Response(200, json=bodies[request.url.raw_path.decode()])

    asked = answering(answer)
    assert await asked.applied("t1") == Applied("shop", "p1", None, 2)
    with_audience = Applied("shop", None, "audience", 0, Progress(**PROGRESS))
    assert await asked.applied("t2") == with_audience
    assert await asked.counted("a/b") == Counted(3, 1)
    assert await asked.decided("t1") == [Decided(**DECISION)]
    await asked.close()


async def test_what_is_not_applied_is_no_trouble() -> None:
    assert await answering(lambda _: httpx.Response(404)).applied("t1") is None


async def everything(asked: Peers) -> None:
    for question in (asked.applied, asked.counted, asked.decided):
        with pytest.raises(Infrastructure):
            await question("t1")


@pytest.mark.parametrize("status", [401, 500, 503])
async def test_another_answer_is_none(status: int) -> None:
    await everything(answering(lambda _: httpx.Response(status)))


async def test_nobody_there_is_no_answer() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    await everything(answering(refuse))


async def test_an_answer_is_not_waited_for_longer_than_the_deadline(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(peers, "DEADLINE_SECONDS", 0.05)

    async def never(_: httpx.Request) -> httpx.Response:
        await asyncio.sleep(60)
        return httpx.Response(200)

    await asyncio.wait_for(everything(answering(never)), 5)
