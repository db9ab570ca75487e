"""Who is meant by a row of a static list's file, and what is to be done about them.

A file is NDJSON, an object a line, or CSV with a header. A row has `type` and `value` of an
identifier, or a `profile_id`, and may have an `action`: `add` (without one) or `remove`.
"""

import csv
import io
from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple, get_args

import msgspec

from services.profile.domain.identity import PROFILE_ID
from shared.contracts.identifiers import MAX_TYPE, MAX_VALUE
from shared.errors import Malformed, Problem, Unprocessable

MAX_ROWS = 100_000
MAX_LINE = 10_000
MAX_PROBLEMS = 20

Action = Literal["add", "remove"]
Format = Literal["ndjson", "csv"]
_ACTIONS: tuple[Action, ...] = get_args(Action)
_COLUMNS = ("type", "value", "profile_id", "action")
_object = msgspec.json.Decoder(dict[str, str | None])


class Meant(NamedTuple):
    """Somebody by an identifier, or by the id of a profile (`type` None)."""

    type: str | None
    value: str


class ListRow(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A row of a file as it waits in the database."""

    action: Action
    type: str | None
    value: str

    @property
    def meant(self) -> Meant:
        """Who it is about."""
        return Meant(self.type, self.value)


BLANK = ""
"""A row of somebody who was erased while the file waited, in the place of what it said."""

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(ListRow)


def encode_row(row: ListRow) -> str:
    return _encoder.encode(row).decode()


def decode_row(text: str) -> ListRow:
    """Raises msgspec.DecodeError when the text is no row, or blank."""
    return _decoder.decode(text)


def read_rows(body: bytes, format_: Format) -> list[ListRow]:
    """The rows of a file. Raises Malformed when it is no text or has no header, and Unprocessable
    with the lines that cannot be read, or when there are too many."""
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Malformed(f"The file is not UTF-8: {error.reason} at byte {error.start}.") from None
    lines = _json_lines(text) if format_ == "ndjson" else _csv_lines(text)
    rows: list[ListRow] = []
    problems: list[Problem] = []
    for number, fields in lines:
        row = "is no object of texts" if fields is None else _row(fields)
        if isinstance(row, str):
            problems.append(Problem(f"line {number}", "row", row))
            if len(problems) == MAX_PROBLEMS:
                break
        else:
            rows.append(row)
        if len(rows) > MAX_ROWS:
            problems.append(Problem("", "too_many", f"a file has at most {MAX_ROWS} rows"))
            break
    if not rows and not problems:
        problems.append(Problem("", "min_items", "has no rows"))
    if problems:
        raise Unprocessable("the file cannot be taken", problems)
    return rows


def _json_lines(text: str) -> Iterator[tuple[int, Mapping[str, str | None] | None]]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                yield number, _object.decode(line)
            except msgspec.DecodeError:
                yield number, None


def _csv_lines(text: str) -> Iterator[tuple[int, Mapping[str, str | None] | None]]:
    csv.field_size_limit(MAX_LINE)
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        header = reader.fieldnames or []
        if not {"type", "value"} <= set(header) and "profile_id" not in header:
            raise Malformed("The first line names the columns: type and value, or profile_id.")
        for fields in reader:
            more = fields.pop(None, None)
            yield reader.line_num, None if more else {name: text or None for name, text in
                                                      fields.items()}  # fmt: skip
    except csv.Error as error:
        raise Malformed(f"Line {reader.line_num} is no CSV: {error}.") from None


def _row(fields: Mapping[str, str | None]) -> ListRow | str:
    """The row, or what is wrong with it."""
    unknown = sorted(fields.keys() - set(_COLUMNS))
    if unknown:
        return f"has a field {unknown[0][:50]}; known are {', '.join(_COLUMNS)}"
    action = fields.get("action") or "add"
    if action not in _ACTIONS:
        return "action is none of add, remove"
    does: Action = "add" if action == "add" else "remove"
    type_, value, id_ = fields.get("type"), fields.get("value"), fields.get("profile_id")
    if id_:
        if type_ or value:
            return "is a profile_id and an identifier at once"
        return ListRow(does, None, id_) if PROFILE_ID.fullmatch(id_) else "profile_id is no id"
    if not type_ or not value:
        return "needs type and value, or profile_id"
    if len(type_) > MAX_TYPE or len(value) > MAX_VALUE or "\0" in type_ + value:
        return "type or value is too long, or has a U+0000"
    return ListRow(does, type_, value)
