"""The schema of an event type: what it may hold, how it is compiled, what breaks it.

A schema is JSON Schema 2020-12 for the event's `properties`; its members `traits` and `context`,
if any, are schemas for those parts. Authors are not trusted with the worker's time: patterns run in
linear time (no look-around, no back reference), a reference stays in the document and never leads
back to where it stands, and the work with every reference written out is bounded.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import jsonschema_rs
import orjson

from services.ingest.domain.decode import deeper_than
from shared.conditions.mistakes import Mistakes, did_you_mean, shown
from shared.errors import Problem

MAX_BYTES = 64 * 1024
MAX_DEPTH = 20
MAX_WORK = 2_000
"""Most subschemas, each counted as often as it is referred to."""
MAX_STACK = 100
MAX_PATTERN = 200
MAX_PATTERNS = 100
PATTERN_BYTES = 64 * 1024
"""Largest compiled pattern."""
MAX_ERRORS = 10
MAX_VALUES = 1_000
"""Of a larger part only the first error is looked for: looking for all takes time for each."""
MAX_MESSAGE = 200

DIALECT = "https://json-schema.org/draft/2020-12/schema"
PARTS = ("properties", "traits", "context")
OTHER_PARTS = PARTS[1:]

_MAPS = frozenset({"$defs", "definitions", "properties", "patternProperties", "dependentSchemas"})
_LISTS = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
_SINGLES = frozenset(
    {
        *("items", "contains", "additionalProperties", "propertyNames", "not", "if", "then"),
        *("else", "unevaluatedItems", "unevaluatedProperties"),
    }
)
_PLAIN = frozenset(
    {
        *("type", "enum", "const", "multipleOf", "maximum", "exclusiveMaximum", "minimum"),
        *("exclusiveMinimum", "maxLength", "minLength", "maxItems", "minItems", "uniqueItems"),
        *("maxContains", "minContains", "maxProperties", "minProperties", "required"),
        *("dependentRequired", "format", "title", "description", "default", "examples"),
        *("deprecated", "readOnly", "writeOnly", "$comment"),
    }
)
_AT_THE_TOP = frozenset({"$schema", "$id"})
_KNOWN = sorted(_MAPS | _LISTS | _SINGLES | _PLAIN | {"$ref", "pattern"})

_patterns = jsonschema_rs.RegexOptions(size_limit=PATTERN_BYTES, dfa_size_limit=1024 * 1024)
_of_a_schema = jsonschema_rs.Draft202012Validator({"$ref": DIALECT}, offline=True, mask="it")

Json = dict[str, Any]


class EventSchema(NamedTuple):
    """One published version, compiled. `label` is what a touchpoint's `schema` becomes."""

    type: str
    label: str
    parts: tuple[tuple[str, jsonschema_rs.Validator], ...]

    def errors(self, event: Mapping[str, Any]) -> list[Problem]:
        """What breaks the schema, at most MAX_ERRORS; `event` has the parts of a touchpoint."""
        found: list[Problem] = []
        for name, validator in self.parts:
            value = event[name]
            if not validator.is_valid(value):
                for error in _errors(validator, value):
                    found.extend(_problems(error, name))
        return found[:MAX_ERRORS]


def compile_schema(type_: str, version: int, schema: Json) -> EventSchema:
    """The schema ready for use. Raises ValueError for one that `schema_mistakes` refuses."""
    parts = ((name, _validator(part)) for name, part in _parts(schema).items())
    return EventSchema(type_, f"{type_}/{version}", tuple(parts))


def schema_mistakes(schema: object) -> list[Problem]:
    """Everything that forbids to use a schema; its paths begin with `schema`."""
    mistakes = Mistakes()
    if not isinstance(schema, dict):
        mistakes.add("schema", "type", f"must be an object, not {shown(schema)}")
    elif deeper_than(schema, MAX_DEPTH):
        mistakes.add("schema", "max_depth", f"is nested deeper than {MAX_DEPTH} levels")
    elif len(orjson.dumps(schema)) > MAX_BYTES:
        mistakes.add("schema", "max_bytes", f"is larger than {MAX_BYTES} bytes")
    else:
        for name, part in _parts(schema).items():
            _check_part(part, "schema" if name == PARTS[0] else f"schema.{name}", mistakes)
    return mistakes.problems


def _parts(schema: Json) -> dict[str, Any]:
    """The schema of each part; what is under `$defs` is for all of them."""
    left_out = {*OTHER_PARTS, *_AT_THE_TOP}
    parts: dict[str, Any] = {
        PARTS[0]: {name: value for name, value in schema.items() if name not in left_out}
    }
    for name in OTHER_PARTS:
        part = schema.get(name)
        if part is not None:
            shared = {"$defs": schema["$defs"]} if "$defs" in schema else {}
            parts[name] = {**shared, **part} if isinstance(part, dict) else part
    dialect = schema.get("$schema", DIALECT)
    if dialect not in (DIALECT, DIALECT + "#"):
        parts[PARTS[0]]["$schema"] = dialect
    return parts


def _check_part(part: Any, path: str, mistakes: Mistakes) -> None:
    before = len(mistakes.problems)
    if not isinstance(part, dict):
        mistakes.add(path, "type", f"must be an object, not {shown(part)}")
        return
    work = _Walk(part, mistakes).work(part, path)
    if work > MAX_WORK:
        mistakes.add(path, "max_work", f"has more than {MAX_WORK} parts with references followed")
    for error in _of_a_schema.iter_errors(part):
        _note(error, path, mistakes)
    if len(mistakes.problems) > before:
        return
    try:
        _validator(part)
    except jsonschema_rs.ValidationError as error:
        _note(error, path, mistakes)


def _note(error: jsonschema_rs.ValidationError, path: str, mistakes: Mistakes) -> None:
    rule, message = error.kind.name or "format", error.message[:MAX_MESSAGE]
    if error.kind.as_dict().get("format") == "regex":
        rule, message = "pattern", "is no pattern of linear time: no look-around, no \\1, not large"
    mistakes.add(_place(path, error.instance_path), rule, message)


class _Walk:
    """Goes through a part once: unknown keywords, patterns, references and how much work it is."""

    def __init__(self, root: Json, mistakes: Mistakes) -> None:
        self._root = root
        self._mistakes = mistakes
        self._patterns = 0
        self._known: dict[int, int] = {}
        self._open: set[int] = set()

    def work(self, node: Any, path: str) -> int:
        """How many subschemas are tried for one value, at most; 1 for what is no object."""
        if not isinstance(node, dict):
            return 1
        if id(node) in self._open:
            self._wrong(path, "recursive_reference", "leads back to where it stands")
            return 1
        if len(self._open) >= MAX_STACK:
            self._wrong(path, "max_depth", "is behind too many references")
            return 1
        if id(node) not in self._known:
            self._open.add(id(node))
            self._known[id(node)] = 1 + sum(
                self._keyword(name, value, f"{path}.{name}") for name, value in node.items()
            )
            self._open.discard(id(node))
        return self._known[id(node)]

    def _keyword(self, name: str, value: Any, path: str) -> int:
        if name == "$ref":
            return self._reference(value, path)
        if name == "pattern":
            self._pattern(value, path)
        elif name in _MAPS and isinstance(value, dict):
            if name == "patternProperties":
                for pattern in value:
                    self._pattern(pattern, path)
            return sum(self.work(child, f"{path}.{key}") for key, child in value.items())
        elif name in _LISTS and isinstance(value, list):
            return sum(self.work(child, f"{path}[{at}]") for at, child in enumerate(value))
        elif name in _SINGLES:
            return self.work(value, path)
        elif name == "$schema":
            self._wrong(path, "dialect", f"is only {DIALECT}, and only at the top")
        elif name not in _KNOWN and not name.startswith("x-"):
            hint = did_you_mean(name, _KNOWN)
            self._wrong(path, "unknown_field", f"is no keyword that is known here.{hint}")
        return 0

    def _wrong(self, path: str, rule: str, message: str) -> None:
        self._mistakes.add(path[:MAX_MESSAGE], rule, message)

    def _pattern(self, pattern: Any, path: str) -> None:
        self._patterns += 1
        if self._patterns == MAX_PATTERNS + 1:
            self._wrong(path, "max_patterns", f"is one of more than {MAX_PATTERNS}")
        if isinstance(pattern, str) and len(pattern) > MAX_PATTERN:
            self._wrong(path, "max_length", f"is longer than {MAX_PATTERN} characters")

    def _reference(self, target: Any, path: str) -> int:
        if not isinstance(target, str) or not target.startswith("#") or "%" in target:
            message = "only references such as #/$defs/money, within the schema, are followed"
            self._wrong(path, "remote_reference", message)
            return 0
        node: Any = self._root
        for step in target.split("/")[1:]:
            step = step.replace("~1", "/").replace("~0", "~")
            if isinstance(node, list) and step.isdecimal() and int(step) < len(node):
                node = node[int(step)]
            else:
                node = node.get(step) if isinstance(node, dict) else None
        if not isinstance(node, dict | bool) or not (target == "#" or target.startswith("#/")):
            self._wrong(path, "unknown_reference", f"there is no schema at {shown(target)}")
            return 0
        return self.work(node, path)


def _validator(part: Json) -> jsonschema_rs.Validator:
    return jsonschema_rs.Draft202012Validator(
        part,
        validate_formats=True,
        ignore_unknown_formats=False,
        offline=True,
        pattern_options=_patterns,
        mask="the value",
    )


def _errors(validator: jsonschema_rs.Validator, value: Any) -> list[jsonschema_rs.ValidationError]:
    if not _more_values_than(value, MAX_VALUES):
        return list(validator.iter_errors(value))
    try:
        validator.validate(value)
    except jsonschema_rs.ValidationError as error:
        return [error]
    return []


def _problems(error: jsonschema_rs.ValidationError, part: str) -> Iterator[Problem]:
    """One for each property that is missing or too many, else one; at the place of the mistake."""
    kind = error.kind
    more = kind.as_dict()
    names = more.get("unexpected", [more["property"]] if "property" in more else [])
    for name in names[:MAX_ERRORS]:
        place = _place(part, [*error.instance_path, name])
        missing = kind.name == "required"
        yield Problem(place, kind.name, "is missing" if missing else "is not in the schema")
    if not names:
        yield Problem(_place(part, error.instance_path), kind.name, error.message[:MAX_MESSAGE])


def _place(start: str, path: list[str | int]) -> str:
    place = start
    for step in path:
        place += f"[{step}]" if isinstance(step, int) else f".{step}"
    return place[:MAX_MESSAGE]


def _more_values_than(value: Any, limit: int) -> bool:
    waiting, seen = [value], 0
    while waiting and seen <= limit:
        node = waiting.pop()
        if isinstance(node, dict | list):
            seen += len(node)
            waiting.extend(node.values() if isinstance(node, dict) else node)
    return seen > limit
