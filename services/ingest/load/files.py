"""Batch files as byte streams: which format by the name, gzip unpacked, their content's hash."""

import gzip
import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple, cast

from shared.errors import Misconfigured

Kind = Literal["csv", "jsonl", "parquet"]
SUFFIXES: dict[str, Kind] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".parquet": "parquet",
}


class Unreadable(Exception):  # noqa: N818 - says what the file is
    """The file cannot be read any further; what came before is loaded."""


class BatchFile(NamedTuple):
    """A file to be loaded: `kind` is its format without the packing."""

    path: Path
    kind: Kind
    packed: bool
    size: int


def batch_file(path: Path, kind: Kind | None = None) -> BatchFile:
    """Look at a file; its format is `kind` or follows from its name.

    Raises Misconfigured for a file that is not there or whose format cannot be known.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
    except OSError as error:
        raise Misconfigured([f"{path}: {error.strerror}"]) from None
    name = path.with_suffix("") if path.suffix.lower() == ".gz" else path
    found = kind or SUFFIXES.get(name.suffix.lower())
    if found is None:
        raise Misconfigured([f"{path}: say what it is with --format csv, jsonl or parquet"])
    if found == "parquet" and packed:
        raise Misconfigured([f"{path}: Parquet packs by itself; unpack it with gunzip first"])
    return BatchFile(path, found, packed, size)


def content_id(file: BatchFile) -> str:
    """`sha256:…` of the file's bytes."""
    with file.path.open("rb") as stream:
        return f"sha256:{hashlib.file_digest(stream, 'sha256').hexdigest()}"


@contextmanager
def open_bytes(file: BatchFile) -> Iterator[tuple[BinaryIO, Callable[[], int]]]:
    """The unpacked bytes, and a function that says how many bytes of the file were read.

    Positions count unpacked bytes; to go to one in a packed file it is unpacked up to there.
    """
    with file.path.open("rb") as raw:
        if not file.packed:
            yield raw, raw.tell
            return
        with gzip.GzipFile(fileobj=raw) as unpacked:
            yield cast(BinaryIO, unpacked), raw.tell
