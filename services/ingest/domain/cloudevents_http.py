"""CloudEvents 1.0 over HTTP, turned into the records of its Kafka binding.

The content type names the mode: `application/cloudevents-batch*` a list of events,
`application/cloudevents*` one, anything else is the data of an event whose attributes are in `ce-*`
headers. Nothing is read beyond what makes a record: the worker judges, as for events from Kafka.
"""

import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import unquote_to_bytes

import msgspec

from services.ingest.domain.cloudevents import BATCHED, REQUIRED, STRUCTURED
from services.ingest.domain.decode import MALFORMED, media_type
from services.ingest.domain.envelope import RawRecords, check_count, hashed_key, open_list
from services.ingest.domain.fields import violation
from shared.contracts.dead_letter import Headers
from shared.contracts.identifiers import MAX_VALUE
from shared.errors import InvalidData, TooLarge

MAX_ATTRIBUTE_BYTES = 32 * 1024
"""Of all attributes in headers together, names and decoded values."""

_PREFIX = b"ce-"
_QUOTED = re.compile(rb'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_JSON_TYPE = f"{STRUCTURED}+json"
_BATCH_TYPES = (BATCHED, f"{BATCHED}+json")


class _Event(msgspec.Struct):
    """What the door needs of a structured event; everything may be of any type."""

    id: Any = None
    source: Any = None
    specversion: Any = None
    type: Any = None
    partitionkey: Any = None
    subject: Any = None


_event_decoder = msgspec.json.Decoder(_Event)
_READ_ERRORS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def cloudevent_headers(content_type: str, headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    """What a request says of its body beside it, as headers of its records.

    `headers` have lower-case names. An event of a batch is a structured one on Kafka. Raises
    TooLarge beyond the limits.
    """
    media = media_type(content_type)
    if media.startswith(STRUCTURED):
        return _content_type(_JSON_TYPE if media in _BATCH_TYPES else media)
    attributes = {
        name.removeprefix(_PREFIX).decode("latin-1"): _decoded(value)
        for name, value in headers
        if name.startswith(_PREFIX)
    }
    if sum(len(name) + len(value) for name, value in attributes.items()) > MAX_ATTRIBUTE_BYTES:
        raise TooLarge(f"The attributes in headers have more than {MAX_ATTRIBUTE_BYTES} bytes.")
    named = tuple((f"ce_{name}", value) for name, value in attributes.items())
    return (*(_content_type(content_type) if content_type else ()), *named)


def open_cloudevents(content_type: str, stated: Headers, body: bytes) -> RawRecords:
    """The records of one request; `stated` are its `cloudevent_headers`.

    Raises InvalidData for what is no CloudEvent, TooLarge beyond the limits. A bad event within a
    batch is no reason: it goes on, for the worker to refuse it alone.
    """
    media = media_type(content_type)
    if media.startswith(BATCHED):
        return _batch(media, body)
    if media.startswith(STRUCTURED):
        return _structured(media, body)
    return _binary(dict(stated), body)


def _batch(media: str, body: bytes) -> RawRecords:
    if media not in _BATCH_TYPES:
        raise violation("content-type", f"{media[:60]} is not supported; use +json")
    events = open_list(body)
    check_count(len(events))
    return RawRecords([(_key_of(event), event) for event in events])


def _structured(media: str, body: bytes) -> RawRecords:
    if media not in (STRUCTURED, _JSON_TYPE):
        raise violation("content-type", f"{media[:60]} is not supported; use +json")
    try:
        event = _event_decoder.decode(body)
    except _READ_ERRORS as error:
        raise InvalidData(MALFORMED, f"the body is no JSON object: {error}") from None
    for name in REQUIRED:
        if getattr(event, name) is None:
            raise violation(name, "is required")
    return RawRecords([(_key(event, body), body)])


def _binary(stated: dict[str, bytes], body: bytes) -> RawRecords:
    for required in REQUIRED:
        if not stated.get(f"ce_{required}"):
            detail = "this header is required; a whole CloudEvent in the body has the content type"
            raise violation(f"ce-{required}", f"{detail} application/cloudevents+json")
    key = _named_key(stated.get("ce_partitionkey"), stated.get("ce_subject"))
    fallback = stated["ce_source"] + b" " + stated["ce_id"]
    return RawRecords([(key or hashed_key(fallback), body)])


def _decoded(value: bytes) -> bytes:
    """The value of an attribute in a header: quotes are taken off, then percent-encoding once."""
    quoted = _QUOTED.fullmatch(value)
    if quoted is not None:
        value = re.sub(rb"\\(.)", rb"\1", quoted[1], flags=re.DOTALL)
    return unquote_to_bytes(value)


def _key_of(event: bytes) -> bytes:
    try:
        return _key(_event_decoder.decode(event), event)
    except _READ_ERRORS:
        return hashed_key(event)


def _key(event: _Event, text: bytes) -> bytes:
    named = [
        value.encode() if isinstance(value, str) else None
        for value in (event.partitionkey, event.subject)
    ]
    return _named_key(*named) or hashed_key(text)


def _named_key(*names: bytes | None) -> bytes | None:
    """Events that say they belong together stay in order: `partitionkey`, else `subject`."""
    return next((name for name in names if name and len(name) <= MAX_VALUE), None)


def _content_type(media: str) -> Headers:
    return (("content-type", media.encode("latin-1")),)
