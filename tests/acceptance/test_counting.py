"""Counts are exact under parallel producers, and an event counts once however often it comes."""

import asyncio
from datetime import UTC, datetime

from tests.acceptance.concert import Concert

PRODUCERS = 8
INCREMENTS = 201


def increment(number: int) -> dict[str, object]:
    return {
        "id": f"increment-{number}",
        "source": "shop",
        "type": "Order Completed",
        "occurred_at": datetime(2026, 11, 1, 12, 0, number % 60, tzinfo=UTC).isoformat(),
        "identifiers": [
            {"type": "user_id", "value": "counted"},
            {"type": "anonymous_id", "value": f"counted-{number % PRODUCERS}"},
        ],
        "properties": {"total": "0.01", "currency": "EUR"},
    }


async def test_201_increments_over_8_producers_are_201(concert: Concert) -> None:
    async def produce(producer: int) -> None:
        for number in range(producer, INCREMENTS, PRODUCERS):
            key = b"%d" % number  # every event may be on another partition
            await concert.publish(concert.event("app", increment(number), key))

    await asyncio.gather(*(produce(producer) for producer in range(PRODUCERS)))
    await concert.until_done("app")
    computed = (await concert.profile("user_id", "counted"))["computed"]
    assert computed["touchpoints"] == computed["orders"] == INCREMENTS
    assert computed["revenue"] == {"EUR": "2.01"}


async def test_one_event_five_times_by_http_and_kafka_counts_once(concert: Concert) -> None:
    key = await source_key(concert, "five-times")
    call = {
        "messageId": "only-one",
        "userId": "once",
        "event": "Order Completed",
        "timestamp": "2026-11-01T12:00:00Z",
        "properties": {"total": "10.00", "currency": "EUR"},
    }
    native = {
        "id": "only-one",
        "source": "five-times",
        "type": "Order Completed",
        "occurred_at": "2026-11-01T12:00:00Z",
        "identifiers": [{"type": "user_id", "value": "once"}],
        "properties": {"total": "10.00", "currency": "EUR"},
    }
    async with concert.api("ingest-collector", token=key) as collector:
        for path in ("/v1/track", "/v1/track", "/v1/batch"):
            body = {"batch": [{**call, "type": "track"}]} if path == "/v1/batch" else call
            answer = await collector.post(path, json=body)
            assert answer.status_code == 200, answer.text
    for n in range(2):
        await concert.publish(concert.event("web", native, b"another-%d" % n))
    await concert.until_done("web")
    computed = (await concert.profile("user_id", "once"))["computed"]
    assert (computed["touchpoints"], computed["orders"]) == (1, 1)
    assert computed["revenue"] == {"EUR": "10.00"}


async def source_key(concert: Concert, source: str, *scopes: str) -> str:
    """A new source on the web channel that speaks Segment, and a key that may collect, or else
    what `scopes` say."""
    async with concert.api("ingest-collector") as api:
        made = await api.post(
            "/v1/sources",
            json={"id": source, "name": source, "channel": "web", "dialect": "segment"},
        )
        assert made.status_code == 201, made.text
        asked = {"scopes": list(scopes or ("collect",))}
        answer = await api.post(f"/v1/sources/{source}/keys", json=asked)
        assert answer.status_code == 201, answer.text
    return str(answer.json()["key"])
