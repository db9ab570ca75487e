"""A listener gets what it asked for, in order, and is told what it was too slow for."""

import asyncio

import pytest

from services.ingest.domain.live_event import Filter, LiveEvent, failed_event
from services.ingest.use_cases import watch_events
from services.ingest.use_cases.watch_events import (
    INTERRUPTED,
    MOST_EVENTS,
    MOST_LISTENERS,
    MOST_OF_ONE,
    Listener,
    LiveEvents,
    Notice,
)
from shared.contracts.topics import Topics
from shared.kafka.catalogue import Catalogue


def event(number: int, size: int = 1, source: str = "shop") -> LiveEvent:
    return LiveEvent("accepted", source, "web", "Seen", {"id": number}, size)


def live_events() -> LiveEvents:
    """Those of a Kafka that is away."""
    catalogue = Catalogue("127.0.0.1:9", client_id="test", topics=Topics())
    return LiveEvents("127.0.0.1:9", catalogue=catalogue, topics=Topics())


@pytest.mark.parametrize(
    ("wanted", "passes"),
    [
        (Filter(), True),
        (Filter("shop", "web", "Seen", "accepted"), True),
        (Filter(source="tills"), False),
        (Filter(channel="pos"), False),
        (Filter(type="seen"), False),
        (Filter(status="failed"), False),
    ],
)
def test_a_filter_is_met_in_all_its_parts(wanted: Filter, passes: bool) -> None:
    assert wanted.passes(event(1)) is passes


async def test_a_slow_listener_is_told_what_it_missed() -> None:
    listener = Listener(Filter())
    for number in range(MOST_EVENTS + 7):
        listener.offer(event(number))
    taken = await listener.take(0)
    assert [one.body["id"] for one in taken[:-1]] == list(range(MOST_EVENTS))
    assert taken[-1] == Notice("dropped", {"count": 7})
    listener.offer(event(1000))
    assert await listener.take(0) == [event(1000)]


async def test_what_waits_is_bounded_in_bytes_but_one_event_always_fits() -> None:
    listener = Listener(Filter())
    for number in range(3):
        listener.offer(event(number, size=watch_events.MOST_BYTES + 1))
    assert [one.body for one in await listener.take(0)] == [{"id": 0}, {"count": 2}]


async def test_who_takes_nothing_loses_the_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_events, "STUCK_SECONDS", 0.0)
    listener = Listener(Filter())
    for number in range(MOST_EVENTS + 1):
        listener.offer(event(number))
    assert listener.ended


async def test_taking_waits_for_what_comes_and_no_longer() -> None:
    listener = Listener(Filter())
    assert await listener.take(0.01) == []
    taking = asyncio.create_task(listener.take(30))
    await asyncio.sleep(0)
    listener.offer(event(1))
    assert await asyncio.wait_for(taking, 5) == [event(1)]
    taking = asyncio.create_task(listener.take(30))
    await asyncio.sleep(0)
    listener.end()
    assert await asyncio.wait_for(taking, 5) == []


def test_a_dead_letter_shows_why_and_never_what_is_in_it() -> None:
    headers = (
        ("__connect.errors.topic", b"channel.web"),
        ("__connect.errors.partition", b"3"),
        ("__connect.errors.offset", b"12"),
        ("__connect.errors.exception.class.name", b"spec_violation"),
        ("__connect.errors.exception.message", b"type: is required"),
        ("x-failed-at", b"2026-11-21T10:00:00.000Z"),
    )
    found = failed_event(b'{"id":"m1","source":"shop","email":"ada@b.c"}', headers, "web")
    assert found[:4] == ("failed", "shop", "web", None)
    assert (found.body["id"], found.body["reason"]) == ("m1", "spec_violation")
    assert found.body["raw"] == {"topic": "channel.web", "partition": 3, "offset": 12}
    assert "ada@b.c" not in str(found.body)


async def test_a_kafka_that_is_away_is_told_and_the_end_ends_everybody() -> None:
    live = live_events()
    stopping = asyncio.Event()
    running = asyncio.create_task(live.run(stopping))
    early = live.join(Filter(), "ada")
    assert early is not None
    assert await early.take(5) == [INTERRUPTED]
    late = live.join(Filter(), "bob")
    assert late is not None
    assert await late.take(5) == [INTERRUPTED]
    stopping.set()
    await asyncio.wait_for(running, 5)
    assert early.ended
    assert late.ended
    assert live.join(Filter(), "eve") is None


async def test_there_is_no_place_for_one_more_until_one_leaves() -> None:
    live = live_events()
    first, *_ = [live.join(Filter(), str(n // MOST_OF_ONE)) for n in range(MOST_LISTENERS)]
    assert first is not None
    assert live.is_full
    assert live.join(Filter(), "late") is None
    live.leave(first)
    assert live.join(Filter(), "late") is not None


async def test_nobody_takes_the_places_of_the_others() -> None:
    live = live_events()
    places = [live.join(Filter(), "greedy") for _ in range(MOST_OF_ONE + 1)]
    *mine, refused = places
    assert None not in mine
    assert refused is None
    assert live.has_enough("greedy")
    assert not live.has_enough("modest")
    assert live.join(Filter(), "modest") is not None
    assert mine[0] is not None
    live.leave(mine[0])
    assert live.join(Filter(), "greedy") is not None
