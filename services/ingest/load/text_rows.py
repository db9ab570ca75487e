"""Rows of CSV and JSON lines, one at a time, each with the position at which to go on after it.

Memory is bounded whatever the file holds: a line, and a quoted CSV field over many lines, is cut
off at a limit and becomes a row that is refused.
"""

import codecs
import csv
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

from services.ingest.domain.decode import MALFORMED, decode_json
from services.ingest.domain.fields import kind_of, violation
from services.ingest.domain.row_mapping import FileFormat
from shared.contracts.topics import CHANNEL_MAX_BYTES, EVENT_MAX_BYTES
from shared.errors import InvalidData, Misconfigured

MAX_ROW_BYTES = CHANNEL_MAX_BYTES
"""Largest row in a file; its event may still be too large, or fine when few columns are mapped."""


class FileRow(NamedTuple):
    """A row, or why it is none. `number` counts from 1, `position` is behind it in the file."""

    number: int
    position: int
    fields: dict[str, Any] | None
    problem: InvalidData | None = None


class Lines:
    """The lines of a stream as text; `position` is behind the last one. Iterates on after errors.

    Raises InvalidData `malformed_payload` for a line, or a row of several, that is too long or not
    in the encoding.
    """

    def __init__(self, stream: BinaryIO, encoding: str, position: int) -> None:
        self._stream = stream
        self._encoding = encoding
        self.position = position
        self.row_begin = position

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._stream.readline(MAX_ROW_BYTES)
        if not line:
            raise StopIteration
        if self.position == 0 and line.startswith(codecs.BOM_UTF8):
            line = line[len(codecs.BOM_UTF8) :]
            self.position = len(codecs.BOM_UTF8)
        self.position += len(line)
        if len(line) == MAX_ROW_BYTES and not line.endswith(b"\n"):
            self._skip_line()
            raise InvalidData(MALFORMED, f"a line is longer than {MAX_ROW_BYTES} bytes")
        if self.position - self.row_begin > MAX_ROW_BYTES:
            raise InvalidData(MALFORMED, f"a row is longer than {MAX_ROW_BYTES} bytes: a quote?")
        try:
            return line.decode(self._encoding)
        except UnicodeDecodeError:
            raise InvalidData(MALFORMED, f"a line is not {self._encoding}") from None

    def _skip_line(self) -> None:
        while rest := self._stream.readline(MAX_ROW_BYTES):
            self.position += len(rest)
            if rest.endswith(b"\n"):
                return


def json_rows(stream: BinaryIO, position: int, number: int) -> Iterator[FileRow]:
    """The objects behind `position`, where row `number` ended; blank lines are no rows."""
    stream.seek(position)
    lines = Lines(stream, "utf-8", position)
    while True:
        lines.row_begin = lines.position
        try:
            line = next(lines)
            if not line.strip():
                continue
            value = decode_json(line.encode())
            if not isinstance(value, dict):
                raise violation("event", f"must be an object, is {kind_of(value)}")
        except StopIteration:
            return
        except InvalidData as error:
            number += 1
            yield FileRow(number, lines.position, None, error)
        else:
            number += 1
            yield FileRow(number, lines.position, value)


def csv_header(stream: BinaryIO, form: FileFormat, delimiter: str) -> tuple[list[str], int]:
    """The columns, and where the rows begin. Raises Misconfigured for a header that is none."""
    if form.header is not None:
        return list(form.header), 0
    lines = Lines(stream, form.encoding, 0)
    try:
        header = next(csv.reader(lines, delimiter=delimiter, strict=True), [])
    except (csv.Error, InvalidData) as error:
        raise Misconfigured([f"the first line names no columns: {error}"]) from None
    columns = [name.strip() for name in header]
    if not any(columns):
        raise Misconfigured(["the first line names no columns"])
    twice = sorted({name for name in columns if columns.count(name) > 1})
    if twice:
        raise Misconfigured([f"the first line names column {name!r} twice" for name in twice])
    return columns, lines.position


def csv_rows(
    stream: BinaryIO,
    columns: list[str],
    form: FileFormat,
    delimiter: str,
    position: int,
    number: int,
) -> Iterator[FileRow]:
    """The rows behind `position`, where row `number` ended; empty lines are none."""
    csv.field_size_limit(EVENT_MAX_BYTES)
    stream.seek(position)
    lines = Lines(stream, form.encoding, position)
    reader = csv.reader(lines, delimiter=delimiter)
    while True:
        lines.row_begin = lines.position
        try:
            cells = next(reader)
            if not cells:
                continue
            if len(cells) != len(columns):
                told = f"has {len(cells)} fields, the header has {len(columns)}"
                raise InvalidData(MALFORMED, told)
        except StopIteration:
            return
        except csv.Error as error:
            number += 1
            yield FileRow(number, lines.position, None, InvalidData(MALFORMED, str(error)))
        except InvalidData as error:
            number += 1
            yield FileRow(number, lines.position, None, error)
        else:
            number += 1
            yield FileRow(number, lines.position, dict(zip(columns, cells, strict=True)))
