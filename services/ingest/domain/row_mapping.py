"""How a row of a batch file becomes a native event: which column is which field.

A mapping is a document that people write, so every mistake in it is named with its path. Where it
takes a value, a text is the name of a column and an object says more:
`{"column": "amount", "as": "number"}` or `{"constant": "EUR"}`. An empty cell is no value.
"""

import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from services.ingest.domain.fields import Object, violation
from shared.contracts.times import rfc3339

Row = Mapping[str, Any]

_NUMBERS = {
    ".": re.compile(r"[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?", re.ASCII),
    ",": re.compile(r"[+-]?(?:\d+(?:,\d+)?|\d{1,3}(?:\.\d{3})+,\d+)", re.ASCII),
}
"""Numbers by their decimal sign."""
KINDS = ("text", "number", "integer", "boolean", "json")
UNIX_SECONDS, UNIX_MILLISECONDS = "unix", "unix_ms"
_TRUTHS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


class Value(NamedTuple):
    """One value of an event: from a `column`, read as `kind` when that is given, or a constant."""

    column: str | None = None
    kind: str | None = None
    constant: Any = None


class Time(NamedTuple):
    """When it happened: a column in a `strptime` format, `unix`, `unix_ms`, or ISO 8601 (None).

    `timezone` (IANA) is where times without an offset were read; None: where the source's are.
    """

    column: str
    format: str | None = None
    timezone: str | None = None


class FileFormat(NamedTuple):
    """How a CSV file is written. `header` names the columns of a file without a first line."""

    delimiter: str | None = None
    encoding: str = "utf-8"
    decimal: str = "."
    header: tuple[str, ...] | None = None


class RowMapping(NamedTuple):
    """Which column is which field; `identifiers` are (type, value)."""

    type: Value
    format: FileFormat = FileFormat()
    id: Value | None = None
    occurred_at: Time | None = None
    identifiers: tuple[tuple[str, Value], ...] = ()
    traits: tuple[tuple[str, Value], ...] = ()
    properties: tuple[tuple[str, Value], ...] = ()


def columns_of(mapping: RowMapping) -> Iterator[tuple[str, str]]:
    """(path in the mapping, column) of every column it names."""
    if mapping.occurred_at is not None:
        yield "occurred_at", mapping.occurred_at.column
    named = [("type", mapping.type), *([] if mapping.id is None else [("id", mapping.id)])]
    named += [(f"identifiers[{i}]", value) for i, (_, value) in enumerate(mapping.identifiers)]
    named += [(f"traits.{name}", value) for name, value in mapping.traits]
    named += [(f"properties.{name}", value) for name, value in mapping.properties]
    for path, value in named:
        if value.column is not None:
            yield path, value.column


def event_of(row: Row, mapping: RowMapping, timezone: str | None) -> Object:
    """The native event of a row, without `source`; `timezone` is the source's.

    Raises InvalidData `spec_violation` naming the field for a cell that is not what it should be.
    """
    decimal = mapping.format.decimal
    event: Object = {"type": _value("type", row, mapping.type, decimal)}
    if mapping.id is not None:
        event["id"] = _value("id", row, mapping.id, decimal)
        if event["id"] is None:
            raise violation("id", f"column {mapping.id.column!r} is empty")
    if mapping.occurred_at is not None:
        time = _time(row, mapping.occurred_at, timezone)
        if time is None:
            raise violation("occurred_at", f"column {mapping.occurred_at.column!r} is empty")
        event["occurred_at"] = time
    event["identifiers"] = [
        {"type": type_, "value": value}
        for index, (type_, spec) in enumerate(mapping.identifiers)
        if (value := _value(f"identifiers[{index}]", row, spec, decimal)) is not None
    ]
    for field, named in (("traits", mapping.traits), ("properties", mapping.properties)):
        found = {name: _value(f"{field}.{name}", row, spec, decimal) for name, spec in named}
        event[field] = {name: value for name, value in found.items() if value is not None}
    return event


def cell(row: Row, column: str) -> Any:
    """What stands in a column; in rows with objects inside, `a.b` is `b` in `a`. None: nothing."""
    value: Any = row.get(column)
    if value is None and column not in row and "." in column:
        value = row
        for part in column.split("."):
            value = value.get(part) if isinstance(value, dict) else None
    if isinstance(value, str):
        value = value.strip()
    return None if value == "" else value


def _value(path: str, row: Row, spec: Value, decimal: str) -> Any:
    if spec.column is None:
        return spec.constant
    value = cell(row, spec.column)
    if value is None or spec.kind is None:
        return value
    try:
        return _as(spec.kind, value, decimal)
    except (ValueError, InvalidOperation, RecursionError):
        raise violation(path, f"{str(value)[:40]!r} is no {spec.kind}") from None


def _as(kind: str, value: Any, decimal: str) -> Any:
    """`value` as `kind`. Raises ValueError or InvalidOperation."""
    if kind == "json":
        return json.loads(value) if isinstance(value, str) else value
    if isinstance(value, dict | list):
        raise ValueError(kind)
    if kind == "text":
        return value if isinstance(value, str) else json.dumps(value)
    if kind == "boolean":
        word = str(value).lower()
        if word not in _TRUTHS:
            raise ValueError(kind)
        return _TRUTHS[word]
    if isinstance(value, bool):
        raise ValueError(kind)
    text = _point(value, decimal) if isinstance(value, str) else str(value)
    number = Decimal(text)
    if not number.is_finite() or abs(number.adjusted()) > 300:
        raise ValueError(kind)
    if number == number.to_integral_value() and (kind == "integer" or "." not in text):
        return int(number)
    if kind == "integer":
        raise ValueError(kind)
    return float(number)


def _point(text: str, decimal: str) -> str:
    """A number written with `decimal`, as JSON writes it. Raises ValueError.

    With a comma, points may stand between groups of three if there is a comma too (`1.234,50`):
    `12.500` alone could be either, and a file must not be multiplied by a thousand in silence.
    """
    if not _NUMBERS[decimal].fullmatch(text):
        raise ValueError("number")
    return text if decimal == "." else text.replace(".", "").replace(decimal, ".")


def _time(row: Row, spec: Time, timezone: str | None) -> str | None:
    """The time of a row. A plain ISO 8601 text goes on as it is: the worker reads it."""
    value = cell(row, spec.column)
    if value is None:
        return None
    text = str(value)
    if spec.format is None and spec.timezone is None:
        return text
    try:
        return _instant(text, spec.format, spec.timezone or timezone or "UTC")
    except (ValueError, ArithmeticError, OSError):
        form = spec.format or "an ISO 8601 time"
        raise violation("occurred_at", f"{text[:40]!r} does not match {form}") from None


@lru_cache(maxsize=4096)
def _instant(text: str, form: str | None, timezone: str) -> str:
    """Remembered, because rows share their days. Raises ValueError, ArithmeticError or OSError."""
    if form in (UNIX_SECONDS, UNIX_MILLISECONDS):
        seconds = Decimal(text) / (1000 if form == UNIX_MILLISECONDS else 1)
        return rfc3339(datetime.fromtimestamp(float(seconds), UTC))
    instant = (
        datetime.fromisoformat(text.upper()) if form is None else datetime.strptime(text, form)  # noqa: DTZ007 - its zone follows
    )
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=ZoneInfo(timezone))
    return rfc3339(instant)
