"""Opens a batch file as a stream of rows, whatever its format."""

import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from gzip import BadGzipFile
from typing import NamedTuple

from services.ingest.domain.row_mapping import FileFormat
from services.ingest.load.files import BatchFile, Unreadable, open_bytes
from services.ingest.load.parquet_rows import ParquetRows
from services.ingest.load.text_rows import FileRow, csv_header, csv_rows, json_rows

BREAKS_OFF = (EOFError, BadGzipFile, zlib.error, OSError)


class Rows(NamedTuple):
    """An open file. `columns` is None where rows name their own; `done` is from 0 to 1."""

    columns: list[str] | None
    each: Iterator[FileRow]
    done: Callable[[], float]


@contextmanager
def open_rows(
    file: BatchFile, form: FileFormat, *, position: int = 0, number: int = 0
) -> Iterator[Rows]:
    """The rows behind `position`, where row `number` ended.

    Raises Misconfigured for a file that is not of its format; iterating raises Unreadable when the
    file breaks off.
    """
    with open_bytes(file) as (stream, read_bytes):
        if file.kind == "parquet":
            parquet = ParquetRows(stream)
            count, at = max(parquet.count, 1), [position]
            yield Rows(parquet.columns, _noting(parquet.rows(position), at), lambda: at[0] / count)
            return
        columns = None
        if file.kind == "jsonl":
            rows = json_rows(stream, position, number)
        else:
            delimiter = form.delimiter or ("\t" if ".tsv" in file.path.suffixes else ",")
            try:
                columns, begin = csv_header(stream, form, delimiter)
            except BREAKS_OFF as error:
                raise _unreadable(0, error) from None
            start = max(position, begin)
            rows = csv_rows(stream, columns, form, delimiter, start, number)
        yield Rows(columns, _guarded(rows, number), lambda: read_bytes() / max(file.size, 1))


def _noting(rows: Iterator[FileRow], at: list[int]) -> Iterator[FileRow]:
    for row in rows:
        at[0] = row.position
        yield row


def _guarded(rows: Iterator[FileRow], number: int) -> Iterator[FileRow]:
    try:
        for row in rows:
            number = row.number
            yield row
    except BREAKS_OFF as error:
        raise _unreadable(number, error) from None


def _unreadable(number: int, error: Exception) -> Unreadable:
    return Unreadable(f"the file cannot be read behind row {number}: {error}")
