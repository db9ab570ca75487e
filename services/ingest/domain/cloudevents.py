"""CloudEvents 1.0 in the Kafka protocol binding: binary (`ce_` headers) and structured JSON.

`source` and `id` make the touchpoint's id, whatever source the collector knows the sender by; but
nobody speaks in the name of another registered source.
An object in `data` becomes the properties; its `identifiers` and `traits`, written as in a native
record, become the touchpoint's. Other data is kept as `properties.data`, or `.data_base64` for
bytes. `subject` is an identifier only if the source says of which type (`subject_as`). All context
attributes, also extensions nobody knows, are kept in `context.cloudevents`.
"""

import base64
from typing import Any

from services.ingest.domain.compose import Arrival, Reading, compose
from services.ingest.domain.decode import MALFORMED, decode_json, media_type
from services.ingest.domain.fields import Object, as_object, required_text, text_at, violation
from services.ingest.domain.identifiers import Candidate, read_identifiers
from services.ingest.domain.normalise import normalise_time
from shared.contracts.touchpoint import Touchpoint
from shared.errors import InvalidData

STRUCTURED = "application/cloudevents"
BATCHED = "application/cloudevents-batch"
REQUIRED = ("id", "source", "specversion", "type")

_PREFIX = "ce_"
_MAPPED = frozenset(("id", "type", "time", "dataschema", "data", "data_base64"))


def is_structured(headers: dict[str, bytes]) -> bool:
    """Whether the record's value is a whole CloudEvent."""
    return headers.get("content-type", b"").lower().startswith(STRUCTURED.encode())


def is_binary(headers: dict[str, bytes]) -> bool:
    """Whether the headers are a CloudEvent's; without all four required ones they are not."""
    return all(_PREFIX + name in headers for name in REQUIRED)


def read_structured(value: bytes | None, arrival: Arrival, source_name: str | None) -> Touchpoint:
    """The touchpoint of a structured CloudEvent.

    Raises InvalidData: no batches on Kafka, and JSON is the only event format.
    """
    content_type = media_type(_text(arrival.headers, "content-type"))
    if content_type.startswith(BATCHED):
        raise violation("content-type", "Kafka takes one CloudEvent a record, not a batch")
    if content_type not in (STRUCTURED, f"{STRUCTURED}+json"):
        raise violation("content-type", f"{content_type[:60]} is not supported; use +json")
    event = as_object(decode_json(value), "event")
    if "data" in event and "data_base64" in event:
        raise violation("data_base64", "data and data_base64 exclude each other")
    data = _base64(event["data_base64"]) if "data_base64" in event else _data(event.get("data"))
    return _read(event, data, arrival, source_name)


def read_binary(value: bytes | None, arrival: Arrival, source_name: str | None) -> Touchpoint:
    """The touchpoint of a binary CloudEvent; no value means no data. Raises InvalidData."""
    event: Object = {
        name.removeprefix(_PREFIX): _text(arrival.headers, name)
        for name in arrival.headers
        if name.startswith(_PREFIX)
    }
    if "content-type" in arrival.headers:
        event["datacontenttype"] = _text(arrival.headers, "content-type")
    return _read(event, _binary_data(value, event.get("datacontenttype")), arrival, source_name)


def _binary_data(value: bytes | None, content_type: str | None) -> Object:
    if not value:
        return {}
    media = media_type(content_type or "application/json")
    if media.endswith(("/json", "+json")):
        return _data(decode_json(value))
    return {"data_base64": base64.b64encode(value).decode("ascii")}


def _data(data: Any) -> Object:
    if data is None:
        return {}
    return data if isinstance(data, dict) else {"data": data}


def _read(event: Object, data: Object, arrival: Arrival, source_name: str | None) -> Touchpoint:
    """One CloudEvent of either mode: `event` holds its attributes, `data` what becomes of it."""
    for name in REQUIRED:
        required_text(event, name)
    if not event["specversion"].startswith("1."):
        raise violation("specversion", f"{event['specversion'][:20]!r} is not supported; use 1.0")
    scope = required_text(event, "source")
    source = arrival.sources.find(source_name or scope, arrival.channel)
    if scope != source.id and scope in arrival.sources.registered:
        raise violation("source", f"is the name of the source {scope!r}, this is {source.id!r}")
    time, subject = event.get("time"), text_at(event, "subject")
    candidates: list[Candidate] = read_identifiers(data.get("identifiers"))
    if subject is not None and source.subject_as is not None:
        candidates.append((source.subject_as, subject))
    has_traits = isinstance(data.get("traits"), dict)
    lifted = ("identifiers", "traits") if has_traits else ("identifiers",)
    reading = Reading(
        source=source,
        id_scope=scope,
        type=required_text(event, "type"),
        message_id=required_text(event, "id"),
        body=event,
        occurred_at=None if time is None else normalise_time(time, "time", source.timezone),
        candidates=candidates,
        traits=data["traits"] if has_traits else {},
        properties={name: value for name, value in data.items() if name not in lifted},
        context={"cloudevents": {k: v for k, v in event.items() if k not in _MAPPED}},
        schema=text_at(event, "dataschema"),
        trace=text_at(event, "traceparent"),
    )
    return compose(reading, arrival)


def _base64(value: Any) -> Object:
    """`data_base64` of a structured event, checked to be what its name says."""
    try:
        base64.b64decode(value, validate=True)
    except (TypeError, ValueError):
        raise violation("data_base64", "must be base64") from None
    return {"data_base64": value}


def _text(headers: dict[str, bytes], name: str) -> str:
    """A header as text. Raises InvalidData for what is no UTF-8 or holds U+0000."""
    try:
        value = headers[name].decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidData(MALFORMED, f"the header {name[:60]} is no UTF-8") from None
    if "\0" in value:
        raise InvalidData(MALFORMED, f"the header {name[:60]} holds U+0000")
    return value
