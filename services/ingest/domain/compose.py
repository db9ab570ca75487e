"""Puts what a dialect read into a touchpoint: the one place that makes ids and notes.

What Concert has to say about an event stands in `context.concert`, and nobody else writes there:
`extra` (fields of the event that its dialect does not know, kept as they came), `dropped`
(identifiers that were left out, with the reason), `sent_at`, `trust`, and what was found about its
time (`clock_skew_ms`, `clamped`, `original_timestamp`, `late`). A publisher's own `context.concert`
moves to `extra`.
"""

import hashlib
from typing import Any

import msgspec
import orjson

from services.ingest.domain.fields import Object, violation
from services.ingest.domain.identifiers import Candidate, normalise_all
from services.ingest.domain.occurrence import occurrence
from services.ingest.domain.replayed import HISTORICAL_HEADER, message_id_before
from services.ingest.domain.source import DEFAULT_TRUST, WRONG_CHANNEL, Source, Sources
from shared.contracts.topics import CHANNEL_NAME
from shared.contracts.touchpoint import RawPosition, Touchpoint
from shared.errors import InvalidData
from shared.ids import touchpoint_id_text

OWN_CONTEXT = "concert"
MAX_TRACE = 128


class Arrival(msgspec.Struct, frozen=True, kw_only=True):
    """What is known about a record besides its value.

    `headers` have lower-case names; `received_at` is RFC 3339 UTC; `channel` is the topic's.
    """

    raw: RawPosition
    channel: str
    received_at: str
    headers: dict[str, bytes]
    sources: Sources


class Reading(msgspec.Struct, kw_only=True):
    """What a dialect found in an event. Times are normalised, identifiers are not yet.

    `message_id` and `id_scope` make the touchpoint's id; without a message id it is `body`, which
    then has to be what a publisher would send again unchanged. `sent_at` is what the sender's clock
    showed when it sent. `number` is the event's among those of its record.
    """

    source: Source
    type: str
    message_id: str | None
    body: Object
    occurred_at: str | None
    candidates: list[Candidate]
    sent_at: str | None = None
    id_scope: str | None = None
    kind: str = "track"
    channel: str | None = None
    traits: Object = {}
    properties: Object = {}
    context: Object = {}
    notes: Object = {}
    extra: Object = {}
    dropped: list[dict[str, Any]] = []
    schema: str | None = None
    trace: str | None = None
    historical: bool = False
    number: int = 0
    audience: Object | None = None


def compose(reading: Reading, arrival: Arrival) -> Touchpoint:
    """The touchpoint of an event; deterministic in its arguments.

    Raises InvalidData `spec_violation` for a channel that cannot be one, or too many identifiers,
    `wrong_channel` for one that is not the registered source's, `too_old` for what the source does
    not take any more.
    """
    source = reading.source
    channel = reading.channel or arrival.channel
    if channel is not arrival.channel and not CHANNEL_NAME.fullmatch(channel):
        raise violation("channel", "must be lower-case letters, digits and _")
    if channel != arrival.channel and source.id in arrival.sources.registered:
        detail = f"the source {source.id!r} publishes on {arrival.channel!r}, not on {channel!r}"
        raise InvalidData(WRONG_CHANNEL, detail, "channel")
    headers = arrival.headers
    message_id = reading.message_id or message_id_before(headers, reading.number)
    message_id = message_id or body_id(reading.body)
    identifiers, dropped = normalise_all(reading.candidates, source.default_region)
    happened = occurrence(
        reading.occurred_at,
        sent_at=reading.sent_at,
        received_at=arrival.received_at,
        source=source,
        historical=reading.historical,
    )
    return Touchpoint(
        id=touchpoint_id_text(reading.id_scope or source.id, message_id),
        message_id=message_id,
        source=source.id,
        channel=channel,
        type=reading.type,
        kind=reading.kind,
        occurred_at=happened.occurred_at,
        received_at=arrival.received_at,
        identifiers=identifiers,
        traits=reading.traits,
        properties=reading.properties,
        context=_context(reading, happened.notes, reading.dropped + dropped),
        schema=reading.schema,
        trace=reading.trace or _trace(headers),
        historical=reading.historical or HISTORICAL_HEADER in headers,
        audience=reading.audience,
        raw=arrival.raw,
    )


def body_id(body: Object) -> str:
    """The id of an event whose publisher gave none: equal bodies are one event."""
    return f"sha256:{hashlib.sha256(orjson.dumps(body, option=orjson.OPT_SORT_KEYS)).hexdigest()}"


def _context(reading: Reading, of_time: Object, dropped: list[dict[str, Any]]) -> Object:
    context, extra = reading.context, reading.extra
    if OWN_CONTEXT in context:
        extra = {**extra, f"context.{OWN_CONTEXT}": context[OWN_CONTEXT]}
        context = {name: value for name, value in context.items() if name != OWN_CONTEXT}
    own: Object = {**reading.notes, **of_time}
    if extra:
        own["extra"] = extra
    if dropped:
        own["dropped"] = dropped
    if reading.source.trust != DEFAULT_TRUST:
        own["trust"] = reading.source.trust
    return {**context, OWN_CONTEXT: own} if own else context


def _trace(headers: dict[str, bytes]) -> str | None:
    """The W3C trace context of the record, if it carries a plausible one."""
    value = headers.get("traceparent")
    if value is None or len(value) > MAX_TRACE or not value.isascii():
        return None
    text = value.decode("ascii")
    return text if text.isprintable() else None
