"""What the profile service publishes for a member is what ingest reads: the same event, for one."""

import json
from typing import Any

import pytest

from services.ingest.domain.audience import COPY_BYTES
from services.profile.domain.audience import Copies
from services.profile.use_cases.fan_out import HEADERS
from shared.contracts.topics import EVENT_MAX_BYTES
from shared.contracts.touchpoint import (
    Identifier,
    Touchpoint,
    touchpoint_decoder,
    touchpoint_encoder,
)
from shared.ids import touchpoint_id_text
from tests.unit.ingest.reading import RAW, read, registered

PERSON = "01890000-0000-7000-8000-000000000001"
LYON = {"attr": "profile.city", "op": "eq", "value": "Lyon"}
BARE: dict[str, Any] = {"source": "s", "type": "Store Closed", "audience": LYON}
FULL: dict[str, Any] = {
    **BARE,
    "id": "closed-7",
    "kind": "track",
    "channel": "web",
    "occurred_at": "2025-11-20T06:00:00+01:00",
    "traits": {"told": True},
    "properties": {"store": "Lyon “Bellecour”", "until": 1.50, "none": None},
    "context": {"locale": "fr-FR", "concert": {"trust": 100}},
    "schema": "Store Closed/1",
    "trace": "00-1-2-01",
    "historical": True,
    "received_at": "2020-01-01T00:00:00Z",
    "userId": "not an identifier here",
    "messageId": 7,
}


def copy_of(event: dict[str, Any]) -> tuple[Touchpoint, Touchpoint]:
    """The touchpoint of an event, and that of its copy for PERSON."""
    sources = registered(trust=90, timezone="Europe/Paris")
    headers: dict[str, str | bytes] = dict(HEADERS)
    value = json.dumps(event, ensure_ascii=False).encode()
    original = read(value, headers, sources=sources)
    stored = touchpoint_decoder.decode(touchpoint_encoder.encode(original))
    copies = Copies(stored)
    assert copies.topic == RAW.topic
    value = copies.of(PERSON)
    assert abs(len(value) - copies.size) < COPY_BYTES
    return original, read(value, headers, sources=sources)


@pytest.mark.parametrize("event", [BARE, FULL, {**FULL, "type": "track"}])
def test_the_copy_is_the_event_for_one_person(event: dict[str, Any]) -> None:
    original, copy = copy_of(event)
    assert original.message_id == event.get("id") or original.message_id.startswith("sha256:")
    assert copy.message_id == f"{original.message_id}:{PERSON}"
    assert copy.id == touchpoint_id_text("s", copy.message_id)
    assert copy.identifiers == [Identifier("profile_id", PERSON)]
    assert copy.audience is None
    own = ("id", "message_id", "identifiers", "audience")
    for name in set(original.__struct_fields__) - set(own):
        assert getattr(copy, name) == getattr(original, name), name


def test_a_copy_of_the_largest_event_is_not_too_large() -> None:
    bare = len(json.dumps(BARE)) + 300
    blob = "é\n" * ((EVENT_MAX_BYTES - COPY_BYTES - bare) // 4)
    original, copy = copy_of({**BARE, "id": "x" * 200, "properties": {"blob": blob}})
    assert copy.properties == original.properties
