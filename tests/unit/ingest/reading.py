"""Reads events in tests as the worker does, with everything but the event fixed."""

import json
from typing import Any

from services.ingest.domain.dialect import read_touchpoints
from services.ingest.domain.source import Source, Sources
from shared.contracts.touchpoint import RawPosition, Touchpoint
from shared.errors import InvalidData

TIMESTAMP = 1_763_712_000_123
RECEIVED_AT = "2025-11-21T08:00:00.123Z"
RAW = RawPosition("channel.web", 3, 42)
OPEN = Sources({}, True)

NATIVE: dict[str, Any] = {
    "id": "m-1",
    "source": "web-shop",
    "type": "Order Completed",
    "occurred_at": "2025-11-21T07:00:00Z",
    "identifiers": [{"type": "user_id", "value": "u1"}],
}


def read(
    event: Any,
    headers: dict[str, str | bytes] | None = None,
    *,
    sources: Sources = OPEN,
    channel: str = "web",
    timestamp: int = TIMESTAMP,
) -> Touchpoint:
    """The touchpoint of an event: bytes and None as they are, everything else as JSON."""
    value = event if isinstance(event, bytes) or event is None else json.dumps(event).encode()
    pairs = tuple(
        (name, content.encode() if isinstance(content, str) else content)
        for name, content in (headers or {}).items()
    )
    reads = read_touchpoints(
        value, raw=RAW, timestamp=timestamp, headers=pairs, channel=channel, sources=sources
    )
    (touchpoint,) = reads.touchpoints
    assert not reads.failures
    return touchpoint


def refusal(
    event: Any, headers: dict[str, str | bytes] | None = None, sources: Sources = OPEN
) -> InvalidData:
    """Why an event is refused; fails when it is not."""
    try:
        touchpoint = read(event, headers, sources=sources)
    except InvalidData as error:
        return error
    raise AssertionError(f"was read as {touchpoint}")


def registered(**settings: Any) -> Sources:
    """One registered source, `s`, and nobody else."""
    return Sources({"s": Source(id="s", name="S", channel="web", **settings)}, False)


def pairs(touchpoint: Touchpoint) -> list[tuple[str, str]]:
    """The identifiers as tuples."""
    return [(one.type, one.value) for one in touchpoint.identifiers]
