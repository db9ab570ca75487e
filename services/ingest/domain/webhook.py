"""The webhook dialect: any JSON, or a form, made into touchpoints by the mapping of its source.

What the mapping cannot read refuses the event as `adapter`; the other items of its list go on.
Equal bodies without an id are one event; with `each`, equal items, and an id that comes twice in
one body is one event: the first. An id that is read from the whole body while the events are items
gets the item's number, so that no item hides another.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import orjson

from services.ingest.domain.compose import Arrival, Reading, compose
from services.ingest.domain.decode import decode_json
from services.ingest.domain.fields import MAX_TEXT, Object, kind_of
from services.ingest.domain.form import decode_form, is_form
from services.ingest.domain.identifiers import Candidate
from services.ingest.domain.mapping import Mapping, Path, Value, parse_mapping
from services.ingest.domain.normalise import normalise_time, time_of_milliseconds
from services.ingest.domain.source import Source
from shared.contracts.touchpoint import Touchpoint
from shared.errors import InvalidData

ADAPTER = "adapter"
MAX_ITEMS = 1000
"""Most events in one body."""
MAX_MADE_BYTES = 4 * 1024 * 1024
"""Most bytes of properties and traits that one body comes to: what is read from the whole body
is repeated with each item, and a small body must not become a large one."""

_NUMBER = re.compile(r"-?\d{1,15}(?:\.\d{1,9})?", re.ASCII)
_MILLISECONDS = {"seconds": 1000, "milliseconds": 1}


class Reads(NamedTuple):
    """What one record stands for: its touchpoints, each id once, and why other events in it are
    none, one failure for each."""

    touchpoints: list[Touchpoint]
    failures: Sequence[InvalidData] = ()


class _At(NamedTuple):
    """Where the reading of a body stands."""

    body: Any
    item: Any
    number: int


def read_webhook(value: bytes | None, arrival: Arrival, source_name: str | None) -> Reads:
    """The touchpoints of a webhook's body.

    Raises InvalidData when nothing of the body can be read.
    """
    source = arrival.sources.find(source_name or arrival.channel, arrival.channel)
    if source.mapping is None:
        raise InvalidData(ADAPTER, f"the source {source.id!r} has no mapping")
    mapping = parsed_mapping(source.mapping)
    body = decode_form(value) if is_form(value, arrival.headers) else decode_json(value)
    touchpoints: dict[str, Touchpoint] = {}
    failures: list[InvalidData] = []
    made = 0
    for index, item in enumerate(items_of(mapping, body)):
        try:
            reading = _reading(mapping, source, _At(body, item, index))
            made += len(orjson.dumps((reading.properties, reading.traits)))
            if made > MAX_MADE_BYTES:
                raise InvalidData(ADAPTER, f"the body comes to more than {MAX_MADE_BYTES} bytes")
            touchpoint = compose(reading, arrival)
            touchpoints.setdefault(touchpoint.id, touchpoint)
        except InvalidData as error:
            failures.append(_of_item(error, mapping, index))
    return Reads(list(touchpoints.values()), failures)


def parsed_mapping(mapping: Object) -> Mapping:
    """The mapping of a source, which was checked when it was saved."""
    return _parsed(orjson.dumps(mapping, option=orjson.OPT_SORT_KEYS))


@lru_cache(maxsize=256)
def _parsed(mapping: bytes) -> Mapping:
    return parse_mapping(orjson.loads(mapping))


def items_of(mapping: Mapping, body: Any) -> Sequence[Any]:
    """What the events of a body are made of. Raises InvalidData `adapter` when it has no list."""
    if mapping.each is None:
        return (body,)
    found = _find(mapping.each, _At(body, body, 0))
    if not isinstance(found, list):
        raise InvalidData(ADAPTER, f"must be a list, is {kind_of(found)}", _text_of(mapping.each))
    if len(found) > MAX_ITEMS:
        raise InvalidData(ADAPTER, f"{len(found)} events in one body; at most {MAX_ITEMS}")
    return found


def ids_of(mapping: Mapping, body: Any) -> list[str | None]:
    """The ids that the mapping finds for the events of a body, None where it finds none.

    Raises InvalidData as `items_of`.
    """
    found: list[str | None] = []
    for number, item in enumerate(items_of(mapping, body)):
        try:
            found.append(_message_id(mapping, _At(body, item, number)))
        except InvalidData:
            found.append(None)
    return found


def item_body(item: Any) -> Object:
    """What the id of an event is made of whose sender gave none."""
    return item if isinstance(item, dict) else {"item": item}


def _reading(mapping: Mapping, source: Source, at: _At) -> Reading:
    return Reading(
        source=source,
        type=_needed_text(mapping.type, at, "type"),
        kind=mapping.kind,
        message_id=_message_id(mapping, at),
        body=item_body(at.item),
        occurred_at=_occurred_at(mapping.occurred_at, at, source.timezone),
        candidates=_candidates(mapping, at),
        properties=_object(mapping.properties, at),
        traits=_object(mapping.traits, at),
        number=at.number,
    )


def _message_id(mapping: Mapping, at: _At) -> str | None:
    if mapping.id is None:
        return None
    text = _needed_text(mapping.id, at, "id")
    return f"{text}#{at.number}" if mapping.id_of_place else text


def _occurred_at(value: Value | None, at: _At, zone: str | None) -> str | None:
    found = None if value is None else _take(value, at)
    if value is None or found is None:
        return None
    if value.unit is None:
        try:
            return normalise_time(found, "occurred_at", zone)
        except InvalidData as error:
            raise InvalidData(ADAPTER, error.detail, _place(value, "occurred_at")) from None
    if isinstance(found, str) and _NUMBER.fullmatch(found):  # a form has texts alone
        found = float(found) if "." in found else int(found)
    if isinstance(found, bool) or not isinstance(found, int | float):
        detail = f"must be a number of {value.unit}, is {kind_of(found)}"
        raise InvalidData(ADAPTER, detail, _place(value, "occurred_at"))
    try:
        return time_of_milliseconds(int(found * _MILLISECONDS[value.unit]))
    except (InvalidData, OverflowError):
        detail = "is beyond the year 9999"
        raise InvalidData(ADAPTER, detail, _place(value, "occurred_at")) from None


def _candidates(mapping: Mapping, at: _At) -> list[Candidate]:
    """What is not in the body is not claimed; an identifier is a text or a whole number."""
    found: list[Candidate] = []
    for type_, value in mapping.identifiers:
        content = _take(value, at)
        if content is not None:
            found.append((type_, _text(content, _place(value, type_))))
    return found


def _object(members: Path | dict[str, Value], at: _At) -> Object:
    if isinstance(members, dict):
        taken = {name: _take(value, at) for name, value in members.items()}
        return {name: content for name, content in taken.items() if content is not None}
    found = _find(members, at)
    if isinstance(found, dict):
        return found
    return {} if found is None else {"item": found}


def _needed_text(value: Value, at: _At, name: str) -> str:
    place = _place(value, name)
    content = _take(value, at)
    text = "" if content is None else _text(content, place).strip()
    if not text:
        raise InvalidData(ADAPTER, f"there is nothing for `{name}`", place)
    if len(text) > MAX_TEXT:
        raise InvalidData(ADAPTER, f"is longer than {MAX_TEXT} characters", place)
    return text


def _text(content: Any, place: str) -> str:
    if type(content) is int:
        return str(content)
    if not isinstance(content, str):
        raise InvalidData(ADAPTER, f"must be a text, is {kind_of(content)}", place)
    return content


def _take(value: Value, at: _At) -> Any:
    """What a value says; null counts as nothing."""
    found = None if value.path is None else _find(value.path, at)
    return value.otherwise if found is None else found


def _find(path: Path, at: _At) -> Any:
    found = at.body if path.from_body else at.item
    for step in path.steps:
        if isinstance(found, dict) and isinstance(step, str):
            found = found.get(step)
        elif isinstance(found, list) and isinstance(step, int) and step < len(found):
            found = found[step]
        else:
            return None
    return found


def _place(value: Value, name: str) -> str:
    return name if value.path is None else _text_of(value.path)


def _text_of(path: Path) -> str:
    text = "$" if path.from_body else "" if path.steps else "@"
    for step in path.steps:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def _of_item(error: InvalidData, mapping: Mapping, index: int) -> InvalidData:
    if mapping.each is None:
        return error
    place = f"{_text_of(mapping.each)}[{index}]"
    path = place if error.path is None else f"{place}: {error.path}"
    return InvalidData(error.reason, error.detail, path)
