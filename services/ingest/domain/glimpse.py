"""What a raw record says of itself at a glance, before anybody judges it.

For the counters, and for people who ask after an event that has not been read yet, or that nobody
can read. What is only in a text of the wrong form, or found by a source's mapping, stays unknown.
"""

import json
import re
from typing import Any

import msgspec

from services.ingest.domain.dialect import SOURCE_HEADER
from services.ingest.domain.fields import MAX_TEXT
from services.ingest.domain.segment import KINDS
from shared.contracts.dead_letter import Headers


class Glimpse(msgspec.Struct, frozen=True, gc=False):
    """`source` published it: who the event counts for, and who its failure is shown under.

    `event_id` is the publisher's, unique within `scope`: the source, or the `source` attribute of a
    CloudEvent. None is what could not be seen.
    """

    source: str | None
    scope: str | None
    event_id: str | None
    type: str | None


class _Named(msgspec.Struct, gc=False):
    messageId: Any = None  # noqa: N815 - the field's name on the wire
    userId: Any = None  # noqa: N815 - the field's name on the wire
    anonymousId: Any = None  # noqa: N815 - the field's name on the wire
    id: Any = None
    source: Any = None
    specversion: Any = None
    event: Any = None
    type: Any = None


_HALF_A_CHARACTER = re.compile("[\ud800-\udfff]")
_decoder = msgspec.json.Decoder(_Named)
_NOTHING = _Named()
_READ_ERRORS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_HEADERS = (SOURCE_HEADER, "ce_id", "ce_source", "ce_type")


def glimpse(value: bytes | None, headers: Headers, channel: str) -> Glimpse:
    """Look at a record of `channel.<channel>` or its dead letters; never raises."""
    stated = _stated(headers)
    source = _header(stated, SOURCE_HEADER)
    if "ce_id" in stated or "ce_source" in stated:
        scope, event_id = identity_by_headers(headers)
        return Glimpse(source or scope, scope, event_id, _header(stated, "ce_type"))
    named = _named(value)
    source = source or _publisher(named, channel)
    scope, event_id = _identity(named, source)
    type_ = _text(named.event) or _text(named.type)
    return Glimpse(source, scope, event_id, type_)


def identity_by_headers(headers: Headers) -> tuple[str | None, str | None]:
    """`scope` and `event_id` alone, of a CloudEvent whose attributes are in headers."""
    stated = _stated(headers)
    return _header(stated, "ce_source"), _header(stated, "ce_id")


def identity(value: bytes | None, source: str) -> tuple[str | None, str | None]:
    """The same of a value that the collector put into Kafka for `source`."""
    return _identity(_named(value), source)


def _stated(headers: Headers) -> dict[str, bytes]:
    return {name.lower(): content for name, content in headers if name.lower() in _HEADERS}


def _named(value: bytes | None) -> _Named:
    try:
        return _decoder.decode(value or b"")
    except _READ_ERRORS:
        return _leniently(value or b"")


def _leniently(value: bytes) -> _Named:
    """What stands in JSON that is none by the letter: NaN, half a character, a bare line break."""
    try:
        found = json.loads(value.decode("utf-8", "replace"), strict=False)
    except (ValueError, RecursionError):
        return _NOTHING
    if not isinstance(found, dict):
        return _NOTHING
    return _Named(**{name: found[name] for name in _Named.__struct_fields__ if name in found})


def _publisher(named: _Named, channel: str) -> str | None:
    """Who published what did not come through the collector: a Segment call on Kafka names nobody,
    so it is of the source called like the channel, as the worker reads it.
    """
    if named.specversion is None and named.type in KINDS:
        ids = (named.messageId, named.userId, named.anonymousId)
        if named.source is None or any(one is not None for one in ids):
            return channel
    return _name(named.source)


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
    if not 0 < len(value) <= MAX_TEXT or "\0" in value:
        return None
    return None if _HALF_A_CHARACTER.search(value) else value
