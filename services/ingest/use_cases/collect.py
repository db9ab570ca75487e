"""Takes one request of a channel system: its events are in Kafka when this returns.

The events go to `channel.<channel>` in their own bytes, with what the door knows in headers; the
ingest worker reads them as it reads everything else. A body that cannot be taken apart goes there
too, marked as refused, so that its dead letter has a place and nothing that arrived is lost.
"""

from dataclasses import dataclass
from datetime import datetime

from services.ingest.domain.dialect import (
    BATCH_HEADER,
    DIALECT_HEADER,
    KIND_HEADER,
    RECEIVED_HEADER,
    REFUSED_HEADER,
    SOURCE_HEADER,
)
from services.ingest.domain.envelope import (
    Envelope,
    hide_write_key,
    open_batch,
    open_single,
    partition_key,
)
from services.ingest.domain.source import Source
from services.ingest.use_cases.publish_together import GroupPublisher
from shared.contracts.dead_letter import Headers
from shared.contracts.times import rfc3339
from shared.contracts.topics import CHANNEL_MAX_BYTES, Topics
from shared.errors import InvalidData, Malformed
from shared.kafka.messages import OutboxBuffer
from shared.observability import metrics

DOOR = "http"
KEPT_BYTES = CHANNEL_MAX_BYTES - 64 * 1024
"""What fits into a raw record beside its headers; of a larger event the beginning is kept."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sent a request, when it came, and the W3C trace context of what it causes."""

    source: Source
    received_at: datetime
    traceparent: str


async def collect(
    body: bytes, kind: str | None, caller: Caller, *, topics: Topics, publisher: GroupPublisher
) -> int:
    """Publish the events of a Segment call, `kind` None for a batch; how many there were.

    Raises Malformed for a body that cannot be taken apart (after it was put among the dead
    letters), TooLarge beyond the limits, Infrastructure when Kafka does not take them.
    """
    try:
        opened = open_batch(body) if kind is None else open_single(body)
    except InvalidData as error:
        await refuse(body, error, caller, topics=topics, publisher=publisher)
        raise Malformed(f"{error.detail}. The body is kept among the failed events.") from None
    if opened.events:
        messages = publisher.buffer()
        _fill(messages, opened, kind, caller, topics.channel(caller.source.channel))
        await publisher.publish(messages)
    _report(caller.source.channel, [len(event) for event in opened.events])
    return len(opened.events)


async def refuse(
    body: bytes, error: InvalidData, caller: Caller, *, topics: Topics, publisher: GroupPublisher
) -> None:
    """Put a body that cannot be read among the failed events. Raises Infrastructure."""
    content = hide_write_key(body)[:KEPT_BYTES]
    headers = (*_headers(caller), _refusal(error.reason, error.detail))
    messages = publisher.buffer()
    topic = topics.channel(caller.source.channel)
    messages.add(topic, caller.source.id.encode(), content, headers)
    await publisher.publish(messages)
    _report(caller.source.channel, [len(body)])


def _fill(
    messages: OutboxBuffer, opened: Envelope, kind: str | None, caller: Caller, topic: str
) -> None:
    headers = _headers(caller)
    if kind is not None:
        headers = (*headers, (KIND_HEADER, kind.encode()))
    if opened.beside is not None:
        headers = (*headers, (BATCH_HEADER, opened.beside))
    for event in opened.events:
        key = partition_key(event)
        if len(event) <= KEPT_BYTES:
            messages.add(topic, key, event, headers)
        else:
            detail = f"{len(event)} bytes; the first {KEPT_BYTES} are kept"
            refused = (*headers, _refusal("too_large", detail))
            messages.add(topic, key, event[:KEPT_BYTES], refused)


def _headers(caller: Caller) -> Headers:
    return (
        (SOURCE_HEADER, caller.source.id.encode()),
        (DIALECT_HEADER, b"segment"),
        (RECEIVED_HEADER, rfc3339(caller.received_at).encode()),
        ("traceparent", caller.traceparent.encode()),
    )


def _refusal(reason: str, detail: str) -> tuple[str, bytes]:
    """The header has to be printable ASCII, whatever the detail quotes."""
    shown = "".join(sign if sign.isprintable() else " " for sign in detail[:300])
    return REFUSED_HEADER, f"{reason}: {shown}".encode("ascii", "replace")


def _report(channel: str, sizes: list[int]) -> None:
    label = metrics.channel_label(channel)
    metrics.EVENTS_RECEIVED.labels(channel=label, door=DOOR).inc(len(sizes))
    metrics.EVENTS_PUBLISHED.labels(channel=label, door=DOOR).inc(len(sizes))
    observe = metrics.EVENT_PAYLOAD_BYTES.labels(door=DOOR).observe
    for size in sizes:
        observe(size)
