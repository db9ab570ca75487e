"""Reads the document of a row mapping and names every mistake in it with its path."""

from typing import Any

from services.ingest.domain.identifiers import is_type
from services.ingest.domain.row_mapping import KINDS, FileFormat, RowMapping, Time, Value
from shared.conditions.mistakes import Mistakes, did_you_mean, shown
from shared.contracts.identifiers import MAX_PER_TOUCHPOINT
from shared.contracts.zones import is_zone
from shared.errors import Unprocessable

ENCODINGS = ("utf-8", "iso-8859-1", "iso-8859-15", "windows-1252")
"""In all of them a line feed is one byte, so that a file can be read on from any line."""
MAX_FIELDS = 300
_FIELDS = ("format", "id", "type", "occurred_at", "identifiers", "traits", "properties")


def read_mapping(document: Any) -> RowMapping:
    """The mapping in a decoded JSON document.

    Raises Unprocessable with one problem for each mistake.
    """
    mistakes = Mistakes()
    whole = _object(document, "", _FIELDS, mistakes)
    if "type" not in whole:
        mistakes.add("type", "required", "is missing: which touchpoint is a row?")
    mapping = RowMapping(
        type=_value(whole.get("type", {"constant": ""}), "type", mistakes),
        format=_format(whole.get("format", {}), mistakes),
        id=_id(whole["id"], mistakes) if "id" in whole else None,
        occurred_at=_time(whole["occurred_at"], mistakes) if "occurred_at" in whole else None,
        identifiers=_identifiers(whole.get("identifiers", []), mistakes),
        traits=_named(whole.get("traits", {}), "traits", mistakes),
        properties=_named(whole.get("properties", {}), "properties", mistakes),
    )
    if mistakes.problems:
        raise Unprocessable("The mapping breaks rules.", mistakes.problems)
    return mapping


def _object(
    value: Any, path: str, known: tuple[str, ...] | None, mistakes: Mistakes
) -> dict[str, Any]:
    """The object at `path`, empty when it is none; `known` are the only fields it may have."""
    if not isinstance(value, dict):
        mistakes.add(path or "mapping", "type", f"must be an object, is {shown(value)}")
        return {}
    for name in value if known is not None else ():
        if name not in (known or ()):
            place = f"{path}.{name}" if path else name
            hint = did_you_mean(name, known or ())
            mistakes.add(place, "unknown_field", f"is not a field of a mapping.{hint}")
    return value


def _text(value: Any, path: str, mistakes: Mistakes) -> str:
    if isinstance(value, str) and value:
        return value
    mistakes.add(path, "type", f"must be a text, is {shown(value)}")
    return ""


def _value(value: Any, path: str, mistakes: Mistakes) -> Value:
    if isinstance(value, str):
        return Value(column=_text(value, path, mistakes))
    found = _object(value, path, ("column", "as", "constant"), mistakes)
    if not isinstance(value, dict):
        return Value()
    if ("column" in found) == ("constant" in found):
        mistakes.add(path, "value", "must be a column's name, or have `column` or `constant`")
        return Value()
    if "constant" in found:
        if found["constant"] is None or "as" in found:
            mistakes.add(path, "value", "a constant has a value, and no `as`")
        return Value(constant=found["constant"])
    kind = found.get("as")
    if "as" in found and kind not in KINDS:
        mistakes.add(f"{path}.as", "choice", f"must be one of {', '.join(KINDS)}")
    return Value(_text(found["column"], f"{path}.column", mistakes), kind)


def _id(value: Any, mistakes: Mistakes) -> Value:
    found = _value(value, "id", mistakes)
    if found.constant is not None:
        mistakes.add("id", "value", "must be a column: a constant would make all rows one event")
    return found._replace(kind="text")


def _time(value: Any, mistakes: Mistakes) -> Time:
    if isinstance(value, str):
        return Time(_text(value, "occurred_at", mistakes))
    found = _object(value, "occurred_at", ("column", "format", "timezone"), mistakes)
    column = _text(found.get("column"), "occurred_at.column", mistakes)
    form, zone = found.get("format"), found.get("timezone")
    if form is not None:
        form = _text(form, "occurred_at.format", mistakes)
    if zone is not None:
        zone = _text(zone, "occurred_at.timezone", mistakes)
        if not is_zone(zone):
            mistakes.add("occurred_at.timezone", "zone", f"{shown(zone)} is no IANA time zone")
    return Time(column, form, zone)


def _identifiers(value: Any, mistakes: Mistakes) -> tuple[tuple[str, Value], ...]:
    if not isinstance(value, list) or len(value) > MAX_PER_TOUCHPOINT:
        mistakes.add("identifiers", "type", f"must be a list of at most {MAX_PER_TOUCHPOINT}")
        return ()
    found = []
    for index, item in enumerate(value):
        path = f"identifiers[{index}]"
        fields = dict(_object(item, path, ("type", "column", "constant"), mistakes))
        type_ = fields.pop("type", None)
        if not isinstance(type_, str) or not is_type(type_):
            mistakes.add(f"{path}.type", "type", "must be a lower-case word such as user_id")
        spec = _value(fields, path, mistakes)
        found.append((str(type_), spec._replace(kind="text") if spec.column else spec))
    return tuple(found)


def _named(value: Any, path: str, mistakes: Mistakes) -> tuple[tuple[str, Value], ...]:
    found = _object(value, path, None, mistakes)
    if len(found) > MAX_FIELDS:
        mistakes.add(path, "too_many", f"has more than {MAX_FIELDS} fields")
        return ()
    return tuple((name, _value(spec, f"{path}.{name}", mistakes)) for name, spec in found.items())


def _format(value: Any, mistakes: Mistakes) -> FileFormat:
    found = _object(value, "format", FileFormat._fields, mistakes)
    delimiter, encoding = found.get("delimiter"), found.get("encoding", "utf-8")
    decimal, header = found.get("decimal", "."), found.get("header")
    if delimiter is not None and (
        not isinstance(delimiter, str) or len(delimiter) != 1 or delimiter in '\r\n"'
    ):
        mistakes.add("format.delimiter", "type", "must be one character")
    if encoding not in ENCODINGS:
        mistakes.add("format.encoding", "choice", f"must be one of {', '.join(ENCODINGS)}")
    if decimal not in (".", ","):
        mistakes.add("format.decimal", "choice", "must be . or ,")
    if header is not None and (
        not isinstance(header, list) or not header or not all(isinstance(n, str) for n in header)
    ):
        mistakes.add("format.header", "type", "must be a list of column names")
        header = None
    return FileFormat(delimiter, encoding, decimal, None if header is None else tuple(header))
