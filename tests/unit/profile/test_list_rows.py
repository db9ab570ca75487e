"""Files of a static list's members: NDJSON and CSV, with every line that cannot be read named."""

import pytest

from services.profile.domain import list_rows
from services.profile.domain.list_rows import (
    Format,
    ListRow,
    Meant,
    decode_row,
    encode_row,
    read_rows,
)
from services.profile.domain.segment import parse_segment
from shared.errors import Malformed, Unprocessable

ID = "00000000-0000-7000-8000-000000000000"
NDJSON = (
    '{"type":"email","value":"a@b.c"}\r\n\n'
    f'{{"profile_id":"{ID}","action":"remove"}}\n'
    '{"type":"email","value":"d@e.f","action":null}'
)
CSV = f'\ufefftype,value,profile_id,action\nemail,a@b.c,,\n,,{ID},remove\nemail,"d@e.f",,add\n'


@pytest.mark.parametrize(("body", "format_"), [(NDJSON, "ndjson"), (CSV, "csv")])
def test_both_forms_say_the_same(body: str, format_: Format) -> None:
    rows = read_rows(body.encode(), format_)
    assert rows == [
        ListRow("add", "email", "a@b.c"),
        ListRow("remove", None, ID),
        ListRow("add", "email", "d@e.f"),
    ]
    assert [decode_row(encode_row(row)) for row in rows] == rows
    assert rows[1].meant == Meant(None, ID)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("[1]", "no object"),
        ('{"type":"email"}', "needs type and value"),
        ('{"type":"email","value":""}', "needs type and value"),
        ('{"type":"email","value":3}', "no object"),
        ('{"profile_id":"x"}', "no id"),
        (f'{{"profile_id":"{ID}","type":"email","value":"a"}}', "at once"),
        ('{"type":"email","value":"a","action":"drop"}', "none of add, remove"),
        ('{"type":"email","value":"a","extra":"b"}', "has a field extra"),
        ('{"type":"email","value":"' + "x" * 600 + '"}', "too long"),
        ("{", "no object"),
    ],
)
def test_a_line_that_cannot_be_read_is_named(line: str, words: str) -> None:
    with pytest.raises(Unprocessable) as refused:
        read_rows(f'{{"type":"email","value":"a@b.c"}}\n{line}\n'.encode(), "ndjson")
    (problem,) = refused.value.problems
    assert problem.path == "line 2"
    assert words in problem.message


@pytest.mark.parametrize(
    "body", [b"\xff\xfe", b"a,b\n1,2\n", b'type,value\nemail,"open\n', b""], ids=repr
)
def test_what_is_no_csv_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        read_rows(body, "csv")


def test_a_row_with_more_cells_than_columns_is_named() -> None:
    with pytest.raises(Unprocessable) as refused:
        read_rows(b"type,value\nemail,a,b,c\n", "csv")
    assert refused.value.problems[0].path == "line 2"


def test_a_file_without_rows_or_with_too_many_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(Unprocessable, match="cannot be taken"):
        read_rows(b"type,value\n", "csv")
    monkeypatch.setattr(list_rows, "MAX_ROWS", 2)
    with pytest.raises(Unprocessable) as refused:
        read_rows(b"type,value\n" + b"email,a\n" * 3, "csv")
    assert refused.value.problems[0].rule == "too_many"


def test_a_static_segment_has_no_condition_of_its_own() -> None:
    found = parse_segment({"name": "VIPs", "static": True}, key="vips")
    assert found.static
    with pytest.raises(Unprocessable):
        parse_segment({"static": True, "condition": {"segment": "x"}}, key="vips")
    with pytest.raises(Unprocessable):
        parse_segment({"name": "x", "static": False}, key="vips")
