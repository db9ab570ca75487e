"""A raw record as Kafka holds it, and what one reading of it gives: an event or a refusal."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Never
from uuid import UUID, uuid5

TOUCHPOINT_NAMESPACE = UUID("6f0c1d0e-5a3b-5c52-9d8e-2b8f6a1c7e41")
"""Part of the contract: the id of a touchpoint is UUIDv5 of its source and its message id."""

EVENT_MAX_BYTES = 256 * 1024
MAX_DEPTH = 64


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """Where a record stands."""

    topic: str
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class RawRecord:
    """A record of `channel.*` as published; `timestamp` in milliseconds."""

    position: Position
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class Identifier:
    """(type, value) that points at a person, normalised."""

    type: str
    value: str


@dataclass(frozen=True, slots=True)
class Event:
    """A touchpoint as the oracle reads it."""

    id: str
    position: Position
    source: str
    message_id: str
    type: str
    occurred_at: datetime
    received_at: datetime
    identifiers: tuple[Identifier, ...]
    traits: Mapping[str, Any]
    properties: Mapping[str, Any]
    historical: bool


@dataclass(frozen=True, slots=True)
class Refusal:
    """A record that can never be applied: it has to be a dead letter."""

    position: Position
    why: str


class NotCoveredError(Exception):
    """The input holds something this oracle does not compute: a mistake of the test."""


class _RefusedError(Exception):
    pass


def read(record: RawRecord) -> Event | Refusal:
    """What a raw record says, by the rules of the contract."""
    try:
        body = _json_object(record.value)
        if record.headers.get("x-concert-dialect", b"native") == b"segment":
            return _segment_event(record, body)
        return _native_event(record, body)
    except _RefusedError as refused:
        return Refusal(record.position, str(refused))


def touchpoint_id(source: str, message_id: str) -> str:
    """The id every copy of one event shares."""
    return str(uuid5(TOUCHPOINT_NAMESPACE, f"{source}\x00{message_id}"))


def instant(text: str) -> datetime:
    """RFC 3339 to an aware instant."""
    return datetime.fromisoformat(text).astimezone(UTC)


def _json_object(value: bytes | None) -> dict[str, Any]:
    if value is None:
        raise _RefusedError("null value")
    if len(value) > EVENT_MAX_BYTES:
        raise _RefusedError("too large")
    try:
        body = json.loads(value.decode("utf-8"), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise _RefusedError("not JSON") from error
    if not isinstance(body, dict):
        raise _RefusedError("not an object")
    for text, depth in _texts(body, 1):
        if depth > MAX_DEPTH:
            raise _RefusedError("too deep")
        if "\x00" in text:
            raise _RefusedError("U+0000")
    return body


def _no_constant(name: str) -> Never:
    raise ValueError(name)


def _texts(value: Any, depth: int) -> Iterator[tuple[str, int]]:
    """Every string of a JSON value with its depth; an empty string stands for other leaves."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield name, depth
            yield from _texts(item, depth + 1)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item, depth + 1)
    else:
        yield (value if isinstance(value, str) else ""), depth


def _text(body: Mapping[str, Any], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise _RefusedError(f"{name} is no text")
    return value


def _time(body: Mapping[str, Any], name: str) -> datetime:
    try:
        return instant(_text(body, name))
    except ValueError as error:
        raise _RefusedError(f"{name} is no time") from error


def _mapping(body: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = body.get(name, {})
    if not isinstance(value, dict):
        raise _RefusedError(f"{name} is no object")
    return value


def _native_event(record: RawRecord, body: dict[str, Any]) -> Event:
    listed = body.get("identifiers", [])
    if not isinstance(listed, list):
        raise _RefusedError("identifiers is no list")
    identifiers = []
    for item in listed:
        if not isinstance(item, dict):
            raise _RefusedError("an identifier is no object")
        identifiers.append(_normalised(_text(item, "type"), _text(item, "value")))
    source, message_id = _text(body, "source"), _text(body, "id")
    return Event(
        id=touchpoint_id(source, message_id),
        position=record.position,
        source=source,
        message_id=message_id,
        type=_text(body, "type"),
        occurred_at=_time(body, "occurred_at"),
        received_at=datetime.fromtimestamp(record.timestamp / 1000, UTC),
        identifiers=tuple(dict.fromkeys(identifiers)),
        traits=_mapping(body, "traits"),
        properties=_mapping(body, "properties"),
        historical=body.get("historical", False) is True,
    )


def _segment_event(record: RawRecord, body: dict[str, Any]) -> Event:
    """A track or identify call; `traits.email` and `traits.phone` count as identifiers here."""
    kind = _text(body, "type")
    if kind not in ("track", "identify"):
        raise NotCoveredError(f"Segment {kind}")
    context = _mapping(body, "context")
    traits = {**_mapping(context, "traits"), **_mapping(body, "traits")}
    found = [("user_id", body.get("userId")), ("anonymous_id", body.get("anonymousId"))]
    found += [(name, traits.get(name)) for name in ("email", "phone")]
    source, message_id = record.headers["x-concert-source"].decode(), _text(body, "messageId")
    return Event(
        id=touchpoint_id(source, message_id),
        position=record.position,
        source=source,
        message_id=message_id,
        type=_text(body, "event") if kind == "track" else kind,
        occurred_at=_time(body, "timestamp"),
        received_at=datetime.fromtimestamp(record.timestamp / 1000, UTC),
        identifiers=tuple(_normalised(name, str(value)) for name, value in found if value),
        traits=traits,
        properties=_mapping(body, "properties"),
        historical=False,
    )


def _normalised(type_: str, value: str) -> Identifier:
    trimmed = value.strip()
    if type_ == "email":
        return Identifier(type_, trimmed.lower())
    if type_ == "phone" and not trimmed.startswith("+"):
        raise NotCoveredError(f"a phone without country: {value}")
    return Identifier(type_, trimmed)
