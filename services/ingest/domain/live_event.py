"""One event as it is shown to who watches: a touchpoint that was read, or a dead letter."""

from typing import Any, Literal, NamedTuple

import msgspec

from services.ingest.domain.glimpse import glimpse
from shared.contracts.dead_letter import Headers
from shared.contracts.touchpoint import touchpoint_decoder

Outcome = Literal["accepted", "failed"]


class LiveEvent(NamedTuple):
    """`body` is what may be shown, with personal data; `size` is what it takes, in bytes."""

    status: Outcome
    source: str | None
    channel: str
    type: str | None
    body: dict[str, Any]
    size: int


class Filter(NamedTuple):
    """What somebody wants to see; None: whatever it is."""

    source: str | None = None
    channel: str | None = None
    type: str | None = None
    status: Outcome | None = None

    def passes(self, event: LiveEvent) -> bool:
        """Whether the event is one of those."""
        return (
            self.source in (None, event.source)
            and self.channel in (None, event.channel)
            and self.type in (None, event.type)
            and self.status in (None, event.status)
        )


def touchpoint_event(value: bytes) -> LiveEvent:
    """A record of `touchpoints`. Raises msgspec.MsgspecError when it is none."""
    read = touchpoint_decoder.decode(value)
    body = {
        "status": "accepted",
        "id": read.message_id,
        "touchpoint_id": read.id,
        "source": read.source,
        "channel": read.channel,
        "type": read.type,
        "kind": read.kind,
        "occurred_at": read.occurred_at,
        "received_at": read.received_at,
        "identifiers": msgspec.to_builtins(read.identifiers),
        "traits": read.traits,
        "properties": read.properties,
        "context": read.context,
    }
    return LiveEvent("accepted", read.source, read.channel, read.type, body, len(value))


def failed_event(value: bytes | None, headers: Headers, channel: str) -> LiveEvent:
    """A record of `channel.<channel>.dlq`: why it failed, and what it says of itself.

    Never what is in it: nobody knows which part of that is personal.
    """
    seen = glimpse(value, headers, channel)
    stated = {name: content.decode("utf-8", "replace") for name, content in headers if content}
    body = {
        "status": "failed",
        "id": seen.event_id,
        "source": seen.source,
        "channel": channel,
        "type": seen.type,
        "reason": stated.get("__connect.errors.exception.class.name"),
        "message": stated.get("__connect.errors.exception.message"),
        "failed_at": stated.get("x-failed-at"),
        "raw": {
            "topic": stated.get("__connect.errors.topic"),
            "partition": _number(stated.get("__connect.errors.partition")),
            "offset": _number(stated.get("__connect.errors.offset")),
        },
    }
    size = sum(len(each) for each in stated.values())
    return LiveEvent("failed", seen.source, channel, seen.type, body, size)


def _number(stated: str | None) -> int | None:
    return int(stated) if stated is not None and stated.isdecimal() else None
