"""The mapping of a webhook source: a small JSON that says where in a body its events are.

    {"each": "orders",
     "type": {"const": "Order Completed"},
     "id": "order_no",
     "occurred_at": {"path": "paid_at", "unit": "seconds"},
     "identifiers": [{"type": "email", "value": "buyer.mail"}],
     "properties": {"total": "sum.amount", "shop": "$.shop.name"},
     "traits": {"first_name": {"path": "buyer.name", "default": "friend"}}}

Only `type` is needed. Where a value goes stands a path, `{"const": …}`, or `{"path": …}` with a
`default` for when there is nothing. A path begins at the item of `each` (without it, at the body),
or with `$` at the body; `@` is the item itself. `properties` and `traits` are names with values, or
one path to an object that is taken as it is; without `properties` it is the item.
"""

import re
from typing import Any, Literal, NamedTuple, cast

import orjson

from services.ingest.domain.fields import Object, kind_of
from services.ingest.domain.identifiers import is_type
from services.ingest.domain.segment import KINDS
from shared.contracts.identifiers import MAX_PER_TOUCHPOINT
from shared.errors import InvalidData

INVALID_MAPPING = "invalid_mapping"
MAX_MAPPING_BYTES = 16 * 1024
MAX_NAMES = 300
"""Most properties, and most traits."""
MAX_STEPS = 16

Unit = Literal["seconds", "milliseconds"]
UNITS = ("seconds", "milliseconds")

_STEP = re.compile(r"([^.\[\]]+)|\[(\d{1,6})\]")
_FIELDS = frozenset(
    ("each", "type", "id", "occurred_at", "identifiers", "properties", "traits", "kind")
)


class Path(NamedTuple):
    """Where to look: from the whole body or from the item, step by step."""

    from_body: bool
    steps: tuple[str | int, ...]


class Value(NamedTuple):
    """What to take: what is at `path`; `otherwise` without a path, or when nothing is there."""

    path: Path | None
    otherwise: Any = None
    unit: Unit | None = None


class Mapping(NamedTuple):
    """A mapping that was checked. `properties` and `traits`: a path to an object, or by name."""

    each: Path | None
    type: Value
    id: Value | None
    occurred_at: Value | None
    kind: str
    identifiers: tuple[tuple[str, Value], ...]
    properties: Path | dict[str, Value]
    traits: Path | dict[str, Value]

    @property
    def id_of_place(self) -> bool:
        """Whether the events of one body share an id, to which each adds its place."""
        whole = self.id is not None and self.id.path is not None and self.id.path.from_body
        return whole and self.each is not None


ITEM = Path(False, ())


def parse_mapping(mapping: Object) -> Mapping:
    """Check a mapping. Raises InvalidData `invalid_mapping` with the path of what is wrong."""
    if len(orjson.dumps(mapping)) > MAX_MAPPING_BYTES:
        raise _wrong("", f"has more than {MAX_MAPPING_BYTES} bytes")
    _only(mapping, _FIELDS, "")
    if "type" not in mapping:
        raise _wrong("type", "is required")
    kind = mapping.get("kind", "track")
    if kind not in KINDS:
        raise _wrong("kind", f"must be one of {', '.join(KINDS)}")
    message_id = _value(mapping["id"], "id") if "id" in mapping else None
    if message_id is not None and message_id.path is None:
        raise _wrong("id", "must be a path: one id for all events would make them one")
    type_ = _value(mapping["type"], "type")
    if type_.path is None and not (isinstance(type_.otherwise, str) and type_.otherwise.strip()):
        raise _wrong("type.const", "must be a text: it is the type of every event")
    each = _path(mapping["each"], "each") if "each" in mapping else None
    return Mapping(
        each=each,
        type=type_,
        id=message_id,
        occurred_at=_time(mapping["occurred_at"]) if "occurred_at" in mapping else None,
        kind=kind,
        identifiers=_identifiers(mapping.get("identifiers", [])),
        properties=_members(mapping.get("properties", "@"), "properties"),
        traits=_members(mapping.get("traits", {}), "traits"),
    )


def _identifiers(entries: Any) -> tuple[tuple[str, Value], ...]:
    if not isinstance(entries, list):
        raise _wrong("identifiers", f"must be a list, is {kind_of(entries)}")
    if len(entries) > MAX_PER_TOUCHPOINT:
        raise _wrong("identifiers", f"more than {MAX_PER_TOUCHPOINT} identifiers")
    found: list[tuple[str, Value]] = []
    for index, entry in enumerate(entries):
        place = f"identifiers[{index}]"
        entry = _object(entry, place)
        _only(entry, frozenset(("type", "value")), place)
        type_ = entry.get("type")
        if not isinstance(type_, str) or not is_type(type_):
            raise _wrong(f"{place}.type", "must be a lower-case word such as user_id")
        if "value" not in entry:
            raise _wrong(f"{place}.value", "is required")
        found.append((type_, _value(entry["value"], f"{place}.value")))
    return tuple(found)


def _members(content: Any, place: str) -> Path | dict[str, Value]:
    if isinstance(content, str):
        return _path(content, place)
    members = _object(content, place)
    if len(members) > MAX_NAMES:
        raise _wrong(place, f"more than {MAX_NAMES} names")
    return {name: _value(value, f"{place}.{name}") for name, value in members.items()}


def _time(content: Any) -> Value:
    if not isinstance(content, dict) or "unit" not in content:
        return _value(content, "occurred_at")
    unit = content["unit"]
    if unit not in UNITS:
        raise _wrong("occurred_at.unit", f"must be one of {', '.join(UNITS)}")
    rest = {name: value for name, value in content.items() if name != "unit"}
    return _value(rest, "occurred_at")._replace(unit=cast(Unit, unit))


def _value(content: Any, place: str) -> Value:
    if isinstance(content, str):
        return Value(_path(content, place))
    if not isinstance(content, dict):
        raise _wrong(place, f"must be a path or an object, is {kind_of(content)}")
    if "const" in content:
        _only(content, frozenset(("const",)), place)
        return Value(None, content["const"])
    _only(content, frozenset(("path", "default")), place)
    if "path" not in content:
        raise _wrong(place, "needs `path` or `const`")
    return Value(_path(content["path"], f"{place}.path"), content.get("default"))


def _path(content: Any, place: str) -> Path:
    if not isinstance(content, str):
        raise _wrong(place, f"must be a path, is {kind_of(content)}")
    if content in ("@", "$"):
        return Path(content == "$", ())
    from_body = content.startswith(("$.", "$["))
    named = from_body or content.startswith(("@.", "@["))
    rest = content[1:].removeprefix(".") if named else content
    steps: list[str | int] = []
    position = 0
    while position < len(rest):
        found = _STEP.match(rest, position)
        if found is None:
            break
        steps.append(found[1] if found[2] is None else int(found[2]))
        position = found.end()
        if rest[position : position + 1] == "." and position + 1 < len(rest):
            if rest[position + 1] == "[":
                break
            position += 1
    if not steps or position < len(rest):
        raise _wrong(place, f"{content[:60]!r} is no path such as order.lines[0].sku")
    if len(steps) > MAX_STEPS:
        raise _wrong(place, f"has more than {MAX_STEPS} steps")
    return Path(from_body, tuple(steps))


def _object(content: Any, place: str) -> Object:
    if not isinstance(content, dict):
        raise _wrong(place, f"must be an object, is {kind_of(content)}")
    return content


def _only(content: Object, known: frozenset[str], place: str) -> None:
    for name in content:
        if name not in known:
            path = f"{place}.{name}" if place else name
            raise _wrong(path, f"is not known; there are {', '.join(sorted(known))}")


def _wrong(place: str, detail: str) -> InvalidData:
    return InvalidData(INVALID_MAPPING, detail, f"mapping.{place}" if place else "mapping")
