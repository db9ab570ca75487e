"""Takes one request of a channel system: its events are in Kafka when this returns.

The events go to `channel.<channel>` in their own bytes, with what the door knows in headers; the
ingest worker reads them as it reads everything else. A body that cannot be taken apart goes there
too, marked as refused, so that its dead letter has a place and nothing that arrived is lost.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from services.ingest.domain.dialect import (
    CUT_HEADER,
    DIALECT_HEADER,
    RECEIVED_HEADER,
    REFUSED_HEADER,
    SOURCE_HEADER,
)
from services.ingest.domain.envelope import RawRecords, hide_write_key
from services.ingest.domain.source import Source
from services.ingest.use_cases.publish_together import GroupPublisher
from services.ingest.use_cases.rate_limit import RateLimit
from shared.contracts.dead_letter import Headers
from shared.contracts.times import rfc3339
from shared.contracts.topics import CHANNEL_MAX_BYTES, Topics
from shared.errors import InvalidData, Malformed
from shared.observability import metrics

DOOR = "http"
KEPT_BYTES = CHANNEL_MAX_BYTES - 64 * 1024
"""What fits into a raw record beside its headers; of a larger event the beginning is kept."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sent a request in which dialect, when it came, and the W3C trace context it causes.

    `stated` is what the request says of its body beside it, as headers of a record: with them a
    refused body can be read later as it was meant.
    """

    source: Source
    dialect: str
    received_at: datetime
    traceparent: str
    stated: Headers = ()


@dataclass(frozen=True, slots=True)
class Door:
    """Where events of HTTP go in: what every request of this process shares."""

    topics: Topics
    publisher: GroupPublisher
    rate_limit: RateLimit


async def collect(
    body: bytes, take_apart: Callable[[bytes], RawRecords], caller: Caller, door: Door
) -> int:
    """Publish the events of a request; how many there were.

    Raises Malformed for a body that cannot be taken apart (after it was put among the dead
    letters), TooLarge beyond the limits, TooMany before anything is published, Infrastructure when
    Kafka does not take them.
    """
    try:
        opened = take_apart(body)
    except InvalidData as error:
        await refuse(body, error, caller, door)
        place = "" if error.path is None else f"{error.path}: "
        raise Malformed(
            f"{place}{error.detail}. The body is kept among the failed events."
        ) from None
    records = opened.records
    if records:
        door.rate_limit.admit(caller.source, len(records))
        await _publish(records, (*_headers(caller), *opened.headers), caller, door)
    return len(records)


async def refuse(body: bytes, error: InvalidData, caller: Caller, door: Door) -> None:
    """Put a body that cannot be read among the failed events. Raises TooMany, Infrastructure."""
    door.rate_limit.admit(caller.source, 1)
    content = hide_write_key(body)
    detail = error.detail if error.path is None else f"{error.path}: {error.detail}"
    headers = (*_headers(caller), *_refusal(error.reason, detail, content))
    await _publish([(caller.source.id.encode(), content[:KEPT_BYTES])], headers, caller, door)


async def _publish(
    records: list[tuple[bytes, bytes]], headers: Headers, caller: Caller, door: Door
) -> None:
    topic = door.topics.channel(caller.source.channel)
    messages = door.publisher.buffer()
    for key, event in records:
        if len(event) <= KEPT_BYTES:
            messages.add(topic, key, event, headers)
        else:
            detail = f"{len(event)} bytes; the first {KEPT_BYTES} are kept"
            refused = (*headers, *_refusal("too_large", detail, event))
            messages.add(topic, key, event[:KEPT_BYTES], refused)
    await door.publisher.publish(messages)
    _report(caller.source.channel, [len(event) for _, event in records])


def _headers(caller: Caller) -> Headers:
    return (
        (SOURCE_HEADER, caller.source.id.encode()),
        (DIALECT_HEADER, caller.dialect.encode()),
        (RECEIVED_HEADER, rfc3339(caller.received_at).encode()),
        ("traceparent", caller.traceparent.encode()),
        *caller.stated,
    )


def _refusal(reason: str, detail: str, content: bytes) -> Headers:
    """Why content is refused, and how long it is when not all of it is kept.

    The header has to be printable ASCII, whatever the detail quotes.
    """
    shown = "".join(sign if sign.isprintable() else " " for sign in detail[:300])
    refused = (REFUSED_HEADER, f"{reason}: {shown}".encode("ascii", "replace"))
    if len(content) <= KEPT_BYTES:
        return (refused,)
    return refused, (CUT_HEADER, str(len(content)).encode())


def _report(channel: str, sizes: list[int]) -> None:
    label = metrics.channel_label(channel)
    metrics.EVENTS_RECEIVED.labels(channel=label, door=DOOR).inc(len(sizes))
    metrics.EVENTS_PUBLISHED.labels(channel=label, door=DOOR).inc(len(sizes))
    observe = metrics.EVENT_PAYLOAD_BYTES.labels(door=DOOR).observe
    for size in sizes:
        observe(size)
