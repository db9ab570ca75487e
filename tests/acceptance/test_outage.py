"""Kafka is away while a shop sends: what was answered 200 is there, once.

It is a Kafka of the test's own, really stopped: for a minute by SIGTERM, and again by SIGKILL; a
third time it stands still with its connections open. Each time it goes on with the same data, and
every role goes on by itself.
"""

import asyncio
import math
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from tests.acceptance.concert import Concert, concert_on
from tests.acceptance.test_counting import source_key
from tests.support.eventually import eventually
from tests.support.kafka import standard_topics
from tests.support.postgres import Database
from tests.support.stack import Servers, Stack, own_kafka

NOTICED_SECONDS = 10.0
READY_SECONDS = 60.0
AROUND_SECONDS = 4.0
SENDERS = 6
BATCH = 20
PEOPLE = 50


class Answer(NamedTuple):
    """What a sender was told, when it asked and when it knew (monotonic seconds)."""

    asked: float
    at: float
    status: int
    retry_after: str | None


@dataclass(slots=True)
class Sent:
    """All that the senders were told."""

    acknowledged: list[str] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)

    def statuses(self, since: float, until: float = math.inf) -> Counter[int]:
        """How often each status was answered between two moments."""
        return Counter(one.status for one in self.answers if since <= one.at <= until)


def stopped(kafka: Servers) -> AbstractAsyncContextManager[None]:
    """It was told to end, and did."""
    return _gone(kafka, kafka.stop)


def killed(kafka: Servers) -> AbstractAsyncContextManager[None]:
    """It ended without a word."""
    return _gone(kafka, kafka.kill)


@asynccontextmanager
async def _gone(kafka: Servers, end: Callable[[], None]) -> AsyncIterator[None]:
    await asyncio.to_thread(end)
    try:
        yield
    finally:
        await asyncio.to_thread(kafka.start)


@asynccontextmanager
async def frozen(kafka: Servers) -> AsyncIterator[None]:
    """It holds its connections and does nothing."""
    with kafka.stack.frozen("kafka"):
        yield


OUTAGES = {stopped: 60.0, killed: 10.0, frozen: 15.0}
"""And how many seconds each of them lasts."""


@pytest.fixture
def kafka(stack: Stack) -> Iterator[Servers]:
    """A broker that this test may stop."""
    with own_kafka(stack) as servers:
        yield servers


@pytest.fixture
async def concert(
    stack: Stack, kafka: Servers, database: Database, topic_prefix: str, tmp_path: Path
) -> AsyncIterator[Concert]:
    """Everything on that broker, running."""
    own = replace(stack, kafka=kafka.stack.kafka)
    async with (
        standard_topics(own.kafka, topic_prefix) as topics,
        concert_on(own, database, topics, tmp_path / "roles") as running,
    ):
        await running.start()
        yield running


@pytest.mark.timeout(600)
async def test_nothing_acknowledged_is_lost_or_doubled(concert: Concert, kafka: Servers) -> None:
    key = await source_key(concert, "outage")
    sent, stop = Sent(), asyncio.Event()
    async with concert.api("ingest-collector", token=key) as shop, asyncio.TaskGroup() as senders:
        for sender in range(SENDERS):
            senders.create_task(send(shop, sender, stop, sent))
        await asyncio.sleep(AROUND_SECONDS)
        for outage, seconds in OUTAGES.items():
            began = time.monotonic()
            await through(concert, sent, outage(kafka), seconds)
            await asyncio.sleep(AROUND_SECONDS)
            print(f"{outage.__name__}: {dict(sent.statuses(began))}")
        stop.set()
    await everything_is_there_once(concert, sent)


async def through(
    concert: Concert, sent: Sent, outage: AbstractAsyncContextManager[None], seconds: float
) -> None:
    """An outage that lasts so long; who is asked during it says so, and afterwards all go on."""
    roles = list(concert.who_needs("kafka").values())

    async def ready() -> set[bool]:
        return set(await asyncio.gather(*(role.is_ready() for role in roles)))

    async with outage:
        began = time.monotonic()
        await eventually(
            ready, until=lambda found: found == {False}, within=NOTICED_SECONDS, what="all notice"
        )
        await asyncio.sleep(max(0.0, began + seconds - time.monotonic()))
        told = [one for one in sent.answers if one.at > began]
    refused = [one for one in told if one.status == 503]
    assert refused
    assert [one for one in refused if int(one.retry_after or 0) < 1] == []
    assert [one for one in told if one.asked > began and one.status != 503] == [], began
    await eventually(
        ready, until=lambda found: found == {True}, within=READY_SECONDS, what="all recover"
    )
    assert all(role.exit_code() is None for role in roles)
    back = time.monotonic()
    await eventually(lambda: sent.statuses(back)[200], within=READY_SECONDS, what="200 again")


async def everything_is_there_once(concert: Concert, sent: Sent) -> None:
    """Each event that was answered 200 is one touchpoint, and nothing else is there."""
    count = len(sent.acknowledged)
    assert count == len(set(sent.acknowledged)) > SENDERS * BATCH
    await concert.until_done("web")
    applied = await concert.owner.fetch(
        "SELECT convert_from(body, 'UTF8')::jsonb ->> 'message_id' AS id FROM profile.touchpoint"
    )
    assert Counter(row["id"] for row in applied) == Counter(sent.acknowledged)
    people = [await concert.profile("user_id", f"u{number}") for number in range(PEOPLE)]
    assert sum(person["computed"]["touchpoints"] for person in people) == count
    async with concert.api("ingest-collector") as admin:
        counters = (await admin.get("/v1/sources/outage")).json()["counters"]
    assert counters["accepted"] == count
    assert (counters["failed"], counters["in_flight"]) == (0, 0)
    assert counters["received"] == counters["accepted"] + counters["duplicate"]
    print(f"{count} events answered 200, {counters['duplicate']} came more than once")


async def send(client: httpx.AsyncClient, sender: int, stop: asyncio.Event, sent: Sent) -> None:
    """Batch after batch, each again and again until it is taken, as the SDKs do."""
    number = 0
    while not stop.is_set():
        events = batch(sender, number)
        while (answer := await _post(client, events)).status != httpx.codes.OK:
            sent.answers.append(answer)
            await asyncio.sleep(1)
        sent.answers.append(answer)
        sent.acknowledged += [str(event["messageId"]) for event in events]
        number += 1
        await asyncio.sleep(0.05)


def batch(sender: int, number: int) -> list[dict[str, Any]]:
    return [
        {
            "type": "track",
            "event": "Seen",
            "messageId": f"{sender}-{number}-{place}",
            "userId": f"u{(number * BATCH + place) % PEOPLE}",
        }
        for place in range(BATCH)
    ]


async def _post(client: httpx.AsyncClient, events: list[dict[str, Any]]) -> Answer:
    asked = time.monotonic()
    answer = await client.post("/v1/batch", json={"batch": events})
    retry_after = answer.headers.get("retry-after")
    return Answer(asked, time.monotonic(), answer.status_code, retry_after)
