"""The touchpoint as it stands on the `touchpoints` topic: one interaction, normalised.

Unknown fields are kept because consumers carry the original bytes on; they are never an error.
Times are RFC 3339 UTC in one fixed width (`2026-11-21T10:00:00.123Z`), so comparing the strings
compares the instants.
"""

from typing import Any

import msgspec

NO_AUDIENCE = msgspec.Raw(b"")


class Identifier(msgspec.Struct, frozen=True, gc=False):
    """(type, value) that points at a person. The value is normalised for its type."""

    type: str
    value: str


class RawPosition(msgspec.Struct, frozen=True, gc=False):
    """Where the raw record stands: tells a client's duplicate from our own redelivery."""

    topic: str
    partition: int
    offset: int


class Touchpoint(msgspec.Struct, omit_defaults=True, gc=False, kw_only=True):
    """One interaction of a customer on a channel. `id` is the only dedup key.

    One that names no person may say by a condition, `audience`, who is meant: each of them gets an
    event of their own, with the id `<message id>:<profile id>`.
    """

    id: str
    message_id: str
    source: str
    channel: str
    type: str
    kind: str = "track"
    occurred_at: str
    received_at: str
    identifiers: list[Identifier] = []
    traits: dict[str, Any] = {}
    properties: dict[str, Any] = {}
    context: dict[str, Any] = {}
    schema: str | None = None
    trace: str | None = None
    historical: bool = False
    audience: dict[str, Any] | None = None
    raw: RawPosition


class TouchpointEnvelope(msgspec.Struct, gc=False, kw_only=True):
    """A touchpoint read by a consumer that carries `properties` and `context` through untouched."""

    id: str
    source: str
    channel: str
    type: str
    kind: str = "track"
    occurred_at: str
    received_at: str
    identifiers: list[Identifier] = []
    traits: dict[str, Any] = {}
    properties: msgspec.Raw = msgspec.Raw(b"{}")
    context: msgspec.Raw = msgspec.Raw(b"{}")
    historical: bool = False
    audience: msgspec.Raw = NO_AUDIENCE
    raw: RawPosition

    @property
    def has_audience(self) -> bool:
        """Whether it names no person but says by a condition who is meant."""
        return self.audience != NO_AUDIENCE and bytes(self.audience) != b"null"


touchpoint_encoder = msgspec.json.Encoder()
touchpoint_decoder = msgspec.json.Decoder(Touchpoint)
envelope_decoder = msgspec.json.Decoder(TouchpointEnvelope)
