"""Puts an event of Concert's own on a channel, where it comes round like everybody's.

State changes when the event is read, once; so its id has to be the same whenever the same thing is
said again.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from shared.contracts.times import rfc3339
from shared.contracts.topics import OWN_SOURCE, Topics
from shared.kafka.messages import OutboxBuffer


def publish_event(
    buffer: OutboxBuffer,
    topics: Topics,
    *,
    channel: str,
    message_id: str,
    type: str,  # noqa: A002  the field's name on the wire
    properties: Mapping[str, Any],
    occurred_at: datetime,
    profile_id: str | None = None,
    audience: Mapping[str, Any] | None = None,
    traits: Mapping[str, Any] | None = None,
    context: Mapping[str, Any] | None = None,
) -> None:
    """Add a native record to the outbox: about one profile, or about everybody of an audience."""
    record: dict[str, Any] = {
        "id": message_id,
        "source": OWN_SOURCE,
        "type": type,
        "occurred_at": rfc3339(occurred_at),
        "properties": dict(properties),
    }
    if traits:
        record["traits"] = dict(traits)
    if context:
        record["context"] = dict(context)
    if audience is not None:
        record["audience"] = dict(audience)
    else:
        record["identifiers"] = [{"type": "profile_id", "value": profile_id}]
    key = (profile_id or message_id).encode()
    buffer.add(topics.channel(channel), key, msgspec.json.encode(record))
