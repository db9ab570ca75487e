"""Rows of a Parquet file, for those who install pyarrow: it is larger than all else together.

As much as one row group is in memory at a time. A position is the number of rows behind it.
"""

from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from typing import Any, BinaryIO

from services.ingest.load.files import Unreadable
from services.ingest.load.text_rows import FileRow
from shared.contracts.times import rfc3339
from shared.errors import Misconfigured

READ_AT_ONCE = 1000
NOT_INSTALLED = (
    "Parquet needs pyarrow, which is not installed (it is large): "
    "install the extra `parquet`, or `python -m pip install 'pyarrow>=21'`"
)


class ParquetRows:
    """An open Parquet file. Raises Misconfigured without pyarrow, or for what is no Parquet."""

    def __init__(self, stream: BinaryIO) -> None:
        try:
            import pyarrow
            import pyarrow.parquet
        except ImportError:
            raise Misconfigured([NOT_INSTALLED]) from None
        self._trouble: type[Exception] = pyarrow.ArrowException
        try:
            self._file = pyarrow.parquet.ParquetFile(stream)
        except (self._trouble, OSError) as error:
            raise Misconfigured([f"this is no Parquet file: {error}"]) from None
        self.columns: list[str] = list(self._file.schema_arrow.names)
        self.count: int = self._file.metadata.num_rows

    def rows(self, position: int) -> Iterator[FileRow]:
        """The rows behind the first `position`; row groups before them are not read.

        Raises Unreadable when the file breaks off.
        """
        number, group = 0, 0
        metadata = self._file.metadata
        while group < metadata.num_row_groups:
            rows = metadata.row_group(group).num_rows
            if number + rows > position:
                break
            number += rows
            group += 1
        if group == metadata.num_row_groups:
            return
        batches = self._file.iter_batches(
            READ_AT_ONCE, row_groups=list(range(group, metadata.num_row_groups))
        )
        try:
            for batch in batches:
                for fields in batch.to_pylist():
                    number += 1
                    if number > position:
                        yield FileRow(number, number, {k: plain(v) for k, v in fields.items()})
        except (self._trouble, OSError) as error:
            raise Unreadable(f"the file cannot be read behind row {number}: {error}") from None


def plain(value: Any) -> Any:
    """A Parquet value as JSON has it: times as RFC 3339, decimals and bytes as text."""
    if isinstance(value, datetime):
        return value.isoformat() if value.tzinfo is None else rfc3339(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, dict):
        return {name: plain(child) for name, child in value.items()}
    if isinstance(value, list):
        return [plain(child) for child in value]
    return value
