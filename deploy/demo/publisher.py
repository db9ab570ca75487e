"""Publishes events as each channel would.

The web shop speaks the Segment dialect over HTTP with its source key, the newsletter tool
CloudEvents on Kafka, the others native records on Kafka.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import Any

import msgspec
from aiokafka.errors import KafkaError

from deploy.demo.concert import Access, Concert, Json
from deploy.demo.errors import DemoError
from deploy.demo.event import Event
from shared.contracts.times import rfc3339
from shared.kafka.factory import build_producer

BATCH = 50
"""Events in one call of the collector."""
CONTENT_TYPE = ("content-type", b"application/json")

_encode = msgspec.json.Encoder().encode


async def publish(concert: Concert, key: str, start: datetime, events: Sequence[Event]) -> None:
    """Publish and return when everything is acknowledged; `start` is the demo's present.

    Events of one channel keep their order. Raises DemoError when a door does not take them.
    """
    web = [segment_call(event, start) for event in events if event.channel == "web"]
    for batch in _batches(web):
        await concert.collector.post("/v1/batch", {"batch": batch}, auth=(key, ""))
    await _to_kafka(concert.access, start, [event for event in events if event.channel != "web"])


def segment_call(event: Event, start: datetime) -> Json:
    """The event as the web shop's Segment SDK writes it."""
    named = {"user_id": "userId", "anonymous_id": "anonymousId"}
    call: Json = {
        "messageId": event.id,
        "timestamp": rfc3339(start - event.ago),
        **{named[type_]: value for type_, value in event.who.items()},
    }
    if event.type == "identify":
        return call | {"type": "identify", "traits": dict(event.traits)}
    return call | {
        "type": "track",
        "event": event.type,
        "properties": dict(event.properties),
        "context": {"traits": dict(event.traits)},
    }


def native_record(event: Event, start: datetime) -> Json:
    """The event in Concert's own words."""
    return {
        "id": event.id,
        "source": event.source,
        "type": event.type,
        "occurred_at": rfc3339(start - event.ago),
        "identifiers": [{"type": type_, "value": value} for type_, value in event.who.items()],
        "traits": dict(event.traits),
        "properties": dict(event.properties),
    }


def cloud_event(event: Event, start: datetime) -> tuple[list[tuple[str, bytes]], Json]:
    """Headers and data of the event in the binary mode of CloudEvents' Kafka binding."""
    (subject,) = event.who.values()
    attributes = {
        "specversion": "1.0",
        "id": event.id,
        "source": event.source,
        "type": event.type,
        "time": rfc3339(start - event.ago),
        "subject": subject,
    }
    headers = [(f"ce_{name}", value.encode()) for name, value in attributes.items()]
    return [*headers, CONTENT_TYPE], {**event.properties, "traits": dict(event.traits)}


async def _to_kafka(access: Access, start: datetime, events: Sequence[Event]) -> None:
    producer = build_producer(access.kafka, client_id="concert-demo")
    try:
        await producer.start()
        acknowledged = [
            await producer.send(access.topics.channel(event.channel), **_record(event, start))
            for event in events
        ]
        for one in acknowledged:
            await one
    except KafkaError as error:
        raise DemoError(
            f"Kafka at {access.kafka} does not take events ({error!r}): is Concert running?"
        ) from error
    finally:
        await producer.stop()


def _record(event: Event, start: datetime) -> dict[str, Any]:
    """Value, key and headers: one customer's events of a channel share a key, for their order."""
    key = next(iter(event.who.values())).encode()
    if event.channel == "email":
        headers, data = cloud_event(event, start)
        return {"key": key, "headers": headers, "value": _encode(data)}
    return {"key": key, "value": _encode(native_record(event, start))}


def _batches(calls: Iterable[Json]) -> Iterator[list[Json]]:
    rest = iter(calls)
    while batch := list(islice(rest, BATCH)):
        yield batch
