"""The account of a source's events, and the client that asks for the profile service's part."""

import httpx
import pytest

from services.ingest.api.peers import Counted, Peers
from services.ingest.domain.balance import balance
from shared.errors import Infrastructure


@pytest.mark.parametrize(
    ("received", "in_flight", "shown"), [(10, 3, 10), (7, 0, 7), (6, 0, 7), (0, 0, 7)]
)
def test_the_counters_balance_at_every_moment(received: int, in_flight: int, shown: int) -> None:
    found = balance(received=received, failed=2, accepted=4, duplicate=1)
    assert found.in_flight == in_flight
    assert found.received == shown
    assert found.received == sum(found[1:])


def client(answer: httpx.Response | Exception) -> Peers:
    """A client of a service that answers this, and only for the source `a/b`."""

    def handle(request: httpx.Request) -> httpx.Response:
        assert request.url.raw_path == b"/v1/touchpoint-counters/a%2Fb"
        if isinstance(answer, Exception):
            raise answer
        return answer

    transport = httpx.MockTransport(handle)
    return Peers(
        httpx.AsyncClient(base_url="http://profile", transport=transport), httpx.AsyncClient()
    )


async def test_what_the_profile_service_counted() -> None:
    peers = client(httpx.Response(200, json={"accepted": 5, "duplicate": 1, "more": []}))
    assert await peers.counted("a/b") == Counted(5, 1)
    await peers.close()


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(404),
        httpx.Response(200, content=b"<html>"),
        httpx.Response(200, json={"accepted": "many"}),
        httpx.ReadTimeout("slow"),
    ],
)
async def test_a_profile_service_that_does_not_say(answer: httpx.Response | Exception) -> None:
    peers = client(answer)
    with pytest.raises(Infrastructure):
        await peers.counted("a/b")
    await peers.close()
