"""Kafka stops for a minute while a shop sends: what was answered 200 is there, once."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from tests.acceptance.concert import Concert
from tests.acceptance.test_counting import source_key

STOPPED_SECONDS = 60.0
AROUND_SECONDS = 5.0
SENDERS = 6
BATCH = 20
PEOPLE = 50


@dataclass(slots=True)
class Sent:
    """What senders were told."""

    acknowledged: list[str] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)


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


async def send(client: httpx.AsyncClient, sender: int, stop: asyncio.Event, sent: Sent) -> None:
    """Batch after batch, each again and again until it is taken, as the SDKs do."""
    number = 0
    while not stop.is_set():
        events = batch(sender, number)
        while (status := await _post(client, events)) != httpx.codes.OK:
            sent.statuses[status] += 1
            await asyncio.sleep(1)
        sent.statuses[status] += 1
        sent.acknowledged += [str(event["messageId"]) for event in events]
        number += 1
        await asyncio.sleep(0.05)


async def _post(client: httpx.AsyncClient, events: list[dict[str, Any]]) -> int:
    return (await client.post("/v1/batch", json={"batch": events})).status_code


@pytest.mark.timeout(600)
async def test_nothing_acknowledged_is_lost_or_doubled(own_concert: Concert) -> None:
    concert = own_concert
    await concert.start()
    key = await source_key(concert, "outage")
    sent, stop = Sent(), asyncio.Event()
    async with concert.api("ingest-collector", token=key) as shop, asyncio.TaskGroup() as senders:
        for sender in range(SENDERS):
            senders.create_task(send(shop, sender, stop, sent))
        await asyncio.sleep(AROUND_SECONDS)
        with concert.stack.frozen("kafka"):
            await asyncio.sleep(STOPPED_SECONDS)
        await asyncio.sleep(AROUND_SECONDS)
        stop.set()
    assert set(sent.statuses) == {200, 503}
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
