"""A body on its way in: counted, timed, and never too much of all together."""

import asyncio
from collections.abc import Sequence

import pytest
from starlette.exceptions import HTTPException

from shared.http import incoming
from shared.http.incoming import Held, Incoming
from shared.observability.listener import Message


class Wire:
    """What a server would receive; waits for ever behind the last message."""

    def __init__(self, messages: Sequence[Message]) -> None:
        self.messages = list(messages)
        self.read = 0

    async def receive(self) -> Message:
        if self.read == len(self.messages):
            await asyncio.Event().wait()
        self.read += 1
        return self.messages[self.read - 1]


def pieces(*sizes: int, end: bool = True) -> Wire:
    """A body in pieces of these sizes."""
    return Wire(
        [
            {
                "type": "http.request",
                "body": b"x" * size,
                "more_body": not end or number < len(sizes),
            }
            for number, size in enumerate(sizes, start=1)
        ]
    )


async def test_a_body_passes_up_to_the_limit() -> None:
    held = Held()
    body = Incoming(pieces(4, 6).receive, held, expected=True, max_bytes=10)
    assert [len((await body.receive())["body"]) for _ in range(2)] == [4, 6]
    assert (held.bytes, body.refused) == (10, False)
    body.release()
    assert held.bytes == 0


async def test_beyond_the_limit_it_is_refused_and_the_rest_is_thrown_away() -> None:
    held, wire = Held(), pieces(6, 6, 6, 6)
    body = Incoming(wire.receive, held, expected=True, max_bytes=10)
    await body.receive()
    with pytest.raises(HTTPException) as refused:
        await body.receive()
    assert (refused.value.status_code, body.refused) == (413, True)
    await body.drain()
    assert wire.read == 4
    body.release()
    assert held.bytes == 0


async def test_a_slow_body_is_refused_and_not_waited_for() -> None:
    wire = pieces(1, end=False)
    body = Incoming(wire.receive, Held(), expected=True, max_bytes=10, seconds=0.05)
    await body.receive()
    with pytest.raises(HTTPException) as refused:
        await body.receive()
    assert (refused.value.status_code, body.refused) == (408, True)
    async with asyncio.timeout(0.5):
        await body.drain()


async def test_behind_the_body_there_is_no_deadline() -> None:
    wire = pieces(1)
    body = Incoming(wire.receive, Held(), expected=True, max_bytes=10, seconds=0.05)
    await body.receive()
    waiting = asyncio.create_task(body.receive())
    await asyncio.sleep(0.1)
    assert not waiting.done()
    waiting.cancel()


async def test_all_bodies_together_are_bounded() -> None:
    held = Held(limit=10)
    first = Incoming(pieces(8).receive, held, expected=True, max_bytes=10)
    second = Incoming(pieces(8).receive, held, expected=True, max_bytes=10)
    await first.receive()
    with pytest.raises(HTTPException) as refused:
        await second.receive()
    assert refused.value.status_code == 503
    assert refused.value.headers == {"Retry-After": "1"}
    first.release()
    second.release()
    third = Incoming(pieces(8).receive, held, expected=True, max_bytes=10)
    await third.receive()
    assert held.bytes == 8


async def test_draining_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(incoming, "DRAIN_SECONDS", 0.05)
    monkeypatch.setattr(incoming, "DRAIN_BYTES", 20)
    silent = pieces(1, end=False)
    await Incoming(silent.receive, Held(), expected=True, max_bytes=1).drain()
    assert silent.read == 1
    endless = pieces(*([8] * 100), end=False)
    await Incoming(endless.receive, Held(), expected=True, max_bytes=1).drain()
    assert endless.read == 3
