"""Which dialect a record of `channel.<channel>` speaks, and what it says: the way in.

A record the collector wrote says so in headers. Others are recognised: CloudEvents by their headers
or content type, a Segment call by its shape, everything else is native. This is the only code that
reads events, for HTTP and Kafka alike.
"""

from services.ingest.domain.cloudevents import (
    is_binary,
    is_structured,
    read_binary,
    read_structured,
)
from services.ingest.domain.compose import Arrival
from services.ingest.domain.decode import decode_json
from services.ingest.domain.fields import VIOLATION, Object, kind_of, object_at, violation
from services.ingest.domain.mapping import Mapping
from services.ingest.domain.native import read_native
from services.ingest.domain.normalise import normalise_time, time_of_milliseconds
from services.ingest.domain.segment import looks_like_segment, read_segment
from services.ingest.domain.source import DIALECTS, Sources
from services.ingest.domain.webhook import Reads, parsed_mapping, read_webhook
from shared.contracts.dead_letter import REASONS, Headers
from shared.contracts.touchpoint import RawPosition, Touchpoint
from shared.errors import InvalidData

SOURCE_HEADER = "x-concert-source"
DIALECT_HEADER = "x-concert-dialect"
KIND_HEADER = "x-concert-kind"
RECEIVED_HEADER = "x-concert-received-at"
BATCH_HEADER = "x-concert-batch"
"""JSON: what stood beside the list of a batch, `context`, `integrations` and `sentAt`."""
REFUSED_HEADER = "x-concert-refused"
"""`reason: detail`: the collector could not read this and hands it on for the dead letters."""
CUT_HEADER = "x-concert-cut"
"""How many bytes there were, when the collector kept only the beginning."""

LONGEST_WAY_MS = 60_000
"""A collector answers long before; its word on when it got an event holds for no longer."""


def read_touchpoints(
    value: bytes | None,
    *,
    raw: RawPosition,
    timestamp: int,
    headers: Headers,
    channel: str,
    sources: Sources,
) -> Reads:
    """The touchpoints that a raw record stands for: one, or for a webhook the events of its body.

    `timestamp` is the record's, in milliseconds.

    Raises InvalidData with one of the reasons of dead letters, and nothing else, whatever the
    bytes are.
    """
    known = {name.lower(): content or b"" for name, content in headers}
    source_name = dialect = None
    if known:
        _refuse_the_refused(known)
        source_name, dialect = _header(known, SOURCE_HEADER), _header(known, DIALECT_HEADER)
    arrival = Arrival(
        raw=raw,
        channel=channel,
        received_at=received_at(known, timestamp, from_collector=source_name is not None),
        headers=known,
        sources=sources,
    )
    if dialect is not None and dialect not in DIALECTS:
        raise violation(DIALECT_HEADER, f"must be one of {', '.join(DIALECTS)}")
    if dialect == "webhook":
        return read_webhook(value, arrival, source_name)
    return Reads([_read_one(value, arrival, source_name, dialect)])


def webhook_mapping(headers: Headers, channel: str, sources: Sources) -> Mapping | None:
    """What a webhook's body is read with; None for a record of another dialect, or that nobody has
    a mapping for.
    """
    known = {name.lower(): content for name, content in headers}
    if known.get(DIALECT_HEADER) != b"webhook":
        return None
    name = known.get(SOURCE_HEADER, b"").decode("utf-8", "replace")
    source = sources.registered.get(name or channel)
    return None if source is None or source.mapping is None else parsed_mapping(source.mapping)


def _read_one(
    value: bytes | None, arrival: Arrival, source_name: str | None, dialect: str | None
) -> Touchpoint:
    known = arrival.headers
    if known and dialect in (None, "cloudevents"):
        if is_structured(known):
            return read_structured(value, arrival, source_name)
        if dialect == "cloudevents" or is_binary(known):
            return read_binary(value, arrival, source_name)
    event = decode_json(value)
    if not isinstance(event, dict):
        raise violation("event", f"must be an object, is {kind_of(event)}")
    if dialect == "segment" or (dialect is None and looks_like_segment(event)):
        return read_segment(
            event,
            arrival,
            source_name=source_name,
            kind=_header(known, KIND_HEADER),
            batch=_batch(known),
        )
    return read_native(event, arrival, source_name)


def _refuse_the_refused(headers: dict[str, bytes]) -> None:
    stated = _header(headers, REFUSED_HEADER)
    if stated is not None:
        reason, _, detail = stated.partition(": ")
        raise InvalidData(reason if reason in REASONS else VIOLATION, detail)


def received_at(headers: dict[str, bytes], timestamp: int, *, from_collector: bool) -> str:
    """When Concert got it: the broker's time of the record, or shortly before, as the collector
    says. Whoever may write to the topic can say so too, but by that shift it by no more.
    """
    appended = time_of_milliseconds(timestamp)
    stated = _header(headers, RECEIVED_HEADER) if from_collector else None
    if stated is None:
        return appended
    said = normalise_time(stated, RECEIVED_HEADER)
    earliest = time_of_milliseconds(timestamp - LONGEST_WAY_MS)
    return said if earliest <= said <= appended else appended


def _batch(headers: dict[str, bytes]) -> Object:
    value = headers.get(BATCH_HEADER)
    return {} if value is None else object_at({BATCH_HEADER: decode_json(value)}, BATCH_HEADER)


def _header(headers: dict[str, bytes], name: str) -> str | None:
    value = headers.get(name)
    if value is None:
        return None
    if not value.isascii() or not value.decode("ascii").isprintable():
        raise violation(name, "must be printable ASCII")
    return value.decode("ascii") or None
