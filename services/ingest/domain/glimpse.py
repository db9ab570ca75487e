"""What a raw record says of itself at a glance, before anybody judges it.

For the counters, and for people who ask after an event that has not been read yet, or that nobody
can read. What is only in a text of the wrong form, or found by a source's mapping, stays unknown.
"""

from typing import Any

import msgspec

from services.ingest.domain.dialect import SOURCE_HEADER
from services.ingest.domain.fields import MAX_TEXT
from shared.contracts.dead_letter import Headers


class Glimpse(msgspec.Struct, frozen=True, gc=False):
    """`source` published it, `event_id` is the publisher's, unique within `scope`: the source, or
    the `source` attribute of a CloudEvent. None is what could not be seen."""

    source: str | None
    scope: str | None
    event_id: str | None
    type: str | None


class _Named(msgspec.Struct, gc=False):
    messageId: Any = None  # noqa: N815 - the field's name on the wire
    id: Any = None
    source: Any = None
    specversion: Any = None
    event: Any = None
    type: Any = None


_decoder = msgspec.json.Decoder(_Named)
_NOTHING = _Named()
_READ_ERRORS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_HEADERS = (SOURCE_HEADER, "ce_id", "ce_source", "ce_type")


def glimpse(value: bytes | None, headers: Headers) -> Glimpse:
    """Look at a record of `channel.<channel>` or its dead letters; never raises."""
    stated = {name.lower(): content for name, content in headers if name.lower() in _HEADERS}
    source = _header(stated, SOURCE_HEADER)
    if "ce_id" in stated or "ce_source" in stated:
        scope = _header(stated, "ce_source")
        event_id, type_ = _header(stated, "ce_id"), _header(stated, "ce_type")
        return Glimpse(source or scope, scope, event_id, type_)
    named = _named(value)
    scope, event_id = _identity(named, source)
    type_ = _text(named.event) or _text(named.type)
    return Glimpse(source or _name(named.source), scope, event_id, type_)


def identity(value: bytes | None, source: str) -> tuple[str | None, str | None]:
    """`scope` and `event_id` alone, of a value that the collector put into Kafka for `source`."""
    return _identity(_named(value), source)


def _named(value: bytes | None) -> _Named:
    try:
        return _decoder.decode(value or b"")
    except _READ_ERRORS:
        return _NOTHING


def _identity(named: _Named, source: str | None) -> tuple[str | None, str | None]:
    is_cloud_event = named.specversion is not None
    scope = source if source is not None and not is_cloud_event else _name(named.source)
    return scope, _text(named.id if named.messageId is None else named.messageId)


def _header(stated: dict[str, bytes], name: str) -> str | None:
    content = stated.get(name)
    return None if content is None else _text(content.decode("utf-8", "replace"))


def _name(value: Any) -> str | None:
    return _text(value) if isinstance(value, str) else None


def _text(value: Any) -> str | None:
    """A name or an id as the dialects read them; None for what cannot be one."""
    if type(value) is int:
        value = str(value)
    if not isinstance(value, str):
        return None
    value = value.strip()
    return value if 0 < len(value) <= MAX_TEXT and "\0" not in value else None
