"""Rows of batch files: every format, going on from every position, and files that are broken."""

import datetime
import gzip
import json
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from services.ingest.domain.row_mapping import FileFormat
from services.ingest.domain.source import Source
from services.ingest.load.files import Unreadable, batch_file, content_id
from services.ingest.load.prepare import RowReader
from services.ingest.load.progress import progress_line
from services.ingest.load.rows import open_rows
from services.ingest.load.text_rows import MAX_ROW_BYTES, FileRow
from shared.errors import InvalidData, Misconfigured

CSV = b'\xef\xbb\xbfcard,note\r\nL-1,"two\nlines, one ""row"""\r\n\r\nL-2,\xc3\xa9\r\nL-3,last'
CSV_ROWS = [
    {"card": "L-1", "note": 'two\nlines, one "row"'},
    {"card": "L-2", "note": "é"},
    {"card": "L-3", "note": "last"},
]
JSON_LINES = b'{"n": 1}\n\n{"n": "\xc3\xa9"}\n{"n": {"deep": [1]}}'
JSON_ROWS = [{"n": 1}, {"n": "é"}, {"n": {"deep": [1]}}]
NOW_MS = 1_795_000_000_000


def write(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return path


def read(
    path: Path, form: FileFormat | None = None, position: int = 0, number: int = 0
) -> list[FileRow]:
    file = batch_file(path)
    with open_rows(file, form or FileFormat(), position=position, number=number) as rows:
        found = list(rows.each)
        assert rows.done() == 1.0
        return found


def write_parquet(folder: Path) -> tuple[Path, list[dict[str, Any]]]:
    """2,500 rows in groups of 1,000, with the types that JSON does not have."""
    day = datetime.date(2026, 7, 5)
    at = datetime.datetime(2026, 7, 5, 10, tzinfo=datetime.UTC)
    rows = [{"n": n, "total": Decimal(n) / 100, "day": day, "at": at} for n in range(2500)]
    path = folder / "rows.parquet"
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path, row_group_size=1000)
    expected = [
        {"n": n, "total": f"{n / 100:.2f}", "day": "2026-07-05", "at": "2026-07-05T10:00:00.000Z"}
        for n in range(2500)
    ]
    return path, expected


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("rows.csv", CSV, CSV_ROWS),
        ("rows.csv.gz", CSV, CSV_ROWS),
        ("rows.tsv", CSV.replace(b"L-1,", b"L-1\t").replace(b",", b"\t"), None),
        ("rows.jsonl", JSON_LINES, JSON_ROWS),
        ("rows.ndjson.gz", JSON_LINES, JSON_ROWS),
    ],
)
def test_rows_from_every_position_on(
    tmp_path: Path, name: str, content: bytes, expected: list[dict[str, Any]] | None
) -> None:
    path = write(tmp_path, name, content)
    rows = read(path)
    assert [row.number for row in rows] == [1, 2, 3]
    if expected is not None:
        assert [row.fields for row in rows] == expected
    for row in rows:
        assert read(path, position=row.position, number=row.number) == rows[row.number :]


def test_parquet_from_any_row_on(tmp_path: Path) -> None:
    path, expected = write_parquet(tmp_path)
    rows = read(path)
    assert [row.fields for row in rows] == expected
    for position in (0, 1, 999, 1000, 1001, 2499, 2500):
        assert read(path, position=position, number=position) == rows[position:]


def test_parquet_without_pyarrow_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _ = write_parquet(tmp_path)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(Misconfigured, match=r"pip install 'pyarrow>=21'"):
        read(path)


def test_other_encodings_and_files_without_a_first_line(tmp_path: Path) -> None:
    form = FileFormat(";", "windows-1252", ",", ("card", "name"))
    rows = read(write(tmp_path, "till.csv", b"L-1;Zo\xe9\nL-2;\x80\n"), form)
    assert [row.fields for row in rows] == [
        {"card": "L-1", "name": "Zoé"},
        {"card": "L-2", "name": "€"},
    ]


@pytest.mark.parametrize(
    ("name", "bad", "told"),
    [
        ("rows.csv", b"only one", "has 1 fields, the header has 2"),
        ("rows.csv", b"L-9,\xff", "a line is not utf-8"),
        ("rows.csv", b"L-9," + b"x" * 300_000, "field larger than field limit"),
        ("rows.csv", b"L-9," + b"x" * (2 * MAX_ROW_BYTES + 7), "a line is longer"),
        ("rows.jsonl", b"no json", "no JSON"),
        ("rows.jsonl", b'{"n": NaN}', "no JSON"),
        ("rows.jsonl", b"[1]", "must be an object, is a list"),
        ("rows.jsonl", b'{"n": "' + b"x" * 300_000 + b'"}', "at most 262144 are taken"),
        ("rows.jsonl", b"x" * (2 * MAX_ROW_BYTES + 7), "a line is longer"),
    ],
)
def test_a_bad_row_is_told_and_its_neighbours_go_on(
    tmp_path: Path, name: str, bad: bytes, told: str
) -> None:
    content = (
        b"card,note\nL-1,a\n" + bad + b"\nL-3,c\n"
        if name == "rows.csv"
        else b'{"n":1}\n' + bad + b'\n{"n":3}\n'
    )
    path = write(tmp_path, name, content)
    one, two, three = rows = read(path)
    assert [row.problem is None for row in rows] == [True, False, True]
    assert two.problem is not None
    assert told in two.problem.detail
    assert (one.number, two.number, three.number) == (1, 2, 3)
    assert read(path, position=two.position, number=2) == [three]


def test_a_quote_that_never_ends_costs_rows_but_not_the_memory(tmp_path: Path) -> None:
    lines = b"".join(b"L-%d,fine\n" % n for n in range(100_000))
    rows = read(write(tmp_path, "rows.csv", b'card,note\nL-0,"oops\n' + lines))
    assert rows[0].problem is not None
    assert len(rows) > 50_000
    assert all(row.problem is None for row in rows[1:])


def test_a_file_that_breaks_off(tmp_path: Path) -> None:
    whole = gzip.compress(b"".join(b'{"n": %d}\n' % n for n in range(100_000)))
    path = tmp_path / "rows.jsonl.gz"
    path.write_bytes(whole[: len(whole) // 2])
    numbers: list[int] = []
    with open_rows(batch_file(path), FileFormat()) as rows:
        numbered = (row.number for row in rows.each)
        with pytest.raises(Unreadable, match=r"cannot be read behind row \d+"):
            numbers.extend(numbered)
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) > 1000


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("rows.xlsx", b"PK", "say what it is with --format"),
        ("rows.parquet", gzip.compress(b"x", mtime=0), "Parquet packs by itself"),
        ("rows.parquet", b"no parquet", "this is no Parquet file"),
        ("rows.csv", b"", "names no columns"),
        ("rows.csv", b"a,b,a\n1,2,3\n", "names column 'a' twice"),
    ],
)
def test_files_that_cannot_be_loaded(tmp_path: Path, name: str, content: bytes, told: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(Misconfigured, match=told):
        read(path)


def test_a_row_without_an_id_is_named_by_content_and_number(tmp_path: Path) -> None:
    events = [{"type": "Seen", "id": "own"}, {"type": "Seen"}, {"type": "Seen"}, {"source": "b"}]
    lines = "\n".join(json.dumps(event) for event in events).encode()
    file = batch_file(write(tmp_path, "rows.jsonl", lines))
    content = content_id(file)
    source = Source(id="shop", name="shop", channel="web")
    reader = RowReader(source=source, content=content, mapping=None, live=False, topic="t")
    *good, other = read(file.path)
    found = [reader.read(row, NOW_MS).touchpoint for row in good]
    assert [one.message_id for one in found] == ["own", f"{content}:2", f"{content}:3"]
    assert {(one.source, one.channel, one.historical) for one in found} == {("shop", "web", True)}
    with pytest.raises(InvalidData, match="is 'b', not 'shop'"):
        reader.read(other, NOW_MS)
    live = RowReader(source=source, content=content, mapping=None, live=True, topic="t")
    assert not live.read(good[0], NOW_MS).touchpoint.historical


def test_the_line_of_progress() -> None:
    line = progress_line("t.csv", 0.5, rows=1000, rejected=2, rate=12_345.6, left=61.2, bar=True)
    assert (
        line == "t.csv [############------------]  50%  1,000 rows, 2 rejected, 12,346/s, 1:01 left"
    )
    plain = progress_line("t.csv", 1.7, rows=1, rejected=0, rate=1, left=None, bar=False)
    assert plain == "t.csv 100%  1 rows, 1/s"
