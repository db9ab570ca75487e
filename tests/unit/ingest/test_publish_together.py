"""Requests share produce rounds, and each hears the truth about its own events."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager

import pytest

from services.ingest.use_cases.publish_together import (
    MAX_WAITING_BYTES,
    GroupPublisher,
)
from shared.errors import Infrastructure
from shared.kafka.messages import Message, OutboxBuffer, PartitionCounts
from shared.kafka.publisher import Publisher

COUNTS = PartitionCounts({"channel.web": 4})
Round = dict[tuple[str, int], list[Message]]


class Broker(Publisher):
    """Takes rounds when it is let, and can be away."""

    def __init__(self) -> None:
        super().__init__("nowhere:1", client_id="test")
        self.rounds: list[Round] = []
        self.open = asyncio.Event()
        self.open.set()
        self.asked = asyncio.Event()
        self.away = False

    async def publish(self, batches: Iterable[tuple[tuple[str, int], Sequence[Message]]]) -> None:
        """Keep the round, once the test lets it."""
        self.asked.set()
        self.rounds.append({place: list(messages) for place, messages in batches})
        await self.open.wait()
        if self.away:
            raise Infrastructure("kafka", "away")


@asynccontextmanager
async def running(broker: Broker, deadline: float = 5.0) -> AsyncIterator[GroupPublisher]:
    """A group publisher whose loop runs beside the block."""
    publisher = GroupPublisher(broker, COUNTS, deadline_seconds=deadline)
    stopping = asyncio.Event()
    loop = asyncio.create_task(publisher.run(stopping))
    try:
        yield publisher
    finally:
        stopping.set()
        broker.open.set()
        await asyncio.wait_for(loop, 5)


def request(*numbers: int, size: int = 1, beside: int = 0) -> OutboxBuffer:
    """The messages of one request, keyed by their numbers; `beside` bytes in a header."""
    buffer = OutboxBuffer(COUNTS)
    for number in numbers:
        buffer.add("channel.web", b"k%d" % number, b"x" * size, (("h", b"x" * beside),))
    return buffer


def values(broker: Broker) -> list[int]:
    return [sum(len(messages) for messages in one.values()) for one in broker.rounds]


async def test_what_gathers_during_a_round_goes_in_the_next() -> None:
    broker = Broker()
    broker.open.clear()
    async with running(broker) as publisher:
        first = asyncio.create_task(publisher.publish(request(0)))
        await broker.asked.wait()
        rest = [asyncio.create_task(publisher.publish(request(n, n, n))) for n in range(10)]
        await asyncio.sleep(0)
        assert not first.done()
        broker.open.set()
        await asyncio.gather(first, *rest)
    assert values(broker) == [1, 30]


async def test_a_round_that_fails_fails_for_all_in_it_and_only_them() -> None:
    broker = Broker()
    async with running(broker) as publisher:
        broker.away = True
        with pytest.raises(Infrastructure, match="away"):
            await publisher.publish(request(0))
        broker.away = False
        await publisher.publish(request(1))


async def test_nobody_waits_for_ever() -> None:
    broker = Broker()
    broker.open.clear()
    async with running(broker, deadline=0.05) as publisher:
        with pytest.raises(Infrastructure, match="no acknowledgement"):
            await publisher.publish(request(0))
        gone = asyncio.create_task(publisher.publish(request(1)))
        with pytest.raises(Infrastructure):
            await gone
        broker.open.set()
        await publisher.publish(request(2))
    sent = [m.key for one in broker.rounds for messages in one.values() for m in messages]
    assert sent == [b"k0", b"k2"], "who was told no is not sent later"


async def test_a_topic_that_does_not_exist_fails_alone() -> None:
    async with running(Broker()) as publisher:
        with pytest.raises(Infrastructure, match="does not exist"):
            publisher.buffer().add("channel.new", b"k", b"v")
        await publisher.publish(request(0))


@pytest.mark.parametrize("where", ["size", "beside"])
async def test_what_waits_is_bounded(where: str) -> None:
    broker = Broker()
    broker.open.clear()
    megabyte = 1024 * 1024
    half = request(*range(MAX_WAITING_BYTES // megabyte // 2), **{where: megabyte})
    async with running(broker) as publisher:
        tasks = [asyncio.create_task(publisher.publish(request(0)))]
        await broker.asked.wait()
        tasks += [asyncio.create_task(publisher.publish(half)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(Infrastructure, match="too many"):
            await publisher.publish(half)
        broker.open.set()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_bookkeeping_fails_nobody_whose_events_are_there() -> None:
    """A replay carries the headers of whoever wrote to the topic, whatever they are."""
    odd = OutboxBuffer(COUNTS)
    odd.add("channel.web", b"k", b"{}", (("x-concert-source", b"\xff"), ("ce_id", b"\xff")))
    async with running(Broker()) as publisher:
        await asyncio.gather(publisher.publish(odd), publisher.publish(request(0)))
        await publisher.publish(request(1))


async def test_what_is_answered_is_remembered_by_then() -> None:
    async with running(Broker()) as publisher:
        one = OutboxBuffer(COUNTS)
        one.add("channel.web", b"k", b'{"messageId":"m"}', (("x-concert-source", b"s"),))
        await publisher.publish(one)
        assert publisher.taken.source_of("s", "m") == "s"


async def test_an_acknowledged_request_hears_so_before_the_books_are_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a bug")

    publisher = GroupPublisher(Broker(), COUNTS)
    monkeypatch.setattr(publisher.taken, "note", broken)
    loop = asyncio.create_task(publisher.run(asyncio.Event()))
    await publisher.publish(request(0))
    with pytest.raises(RuntimeError):
        await loop


async def test_what_began_is_finished_when_it_stops() -> None:
    broker = Broker()
    broker.open.clear()
    async with running(broker) as publisher:
        waiting = asyncio.create_task(publisher.publish(request(0)))
        await broker.asked.wait()
    await waiting
