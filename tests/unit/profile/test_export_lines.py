"""The lines of an export: columns, and cells that no spreadsheet computes."""

import csv
import io
from typing import Any

import pytest

from services.profile.api.export_lines import csv_head, csv_lines, json_lines, safe

ADA: dict[str, Any] = {
    "id": "1",
    "identifiers": [
        {"type": "email", "value": "ada@b.c"},
        {"type": "email", "value": "ada@d.e"},
        {"type": "phone", "value": "+33612345678"},
    ],
    "traits": {"first_name": '=HYPERLINK("x")', "score": -7, "tags": ["x", 1], "vip": True},
    "segments": ["a", "b"],
    "persona": None,
    "computed": {"orders": 2, "revenue": {"EUR": "1.50"}},
}


@pytest.mark.parametrize("text", ["=1+1", "+SUM(A1)", "-2+3", "@cmd", "\t=1", "\r=1", "＝1", "|x"])
def test_what_a_spreadsheet_would_compute_stays_text(text: str) -> None:
    assert safe(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", "Ada", "+33612345678", "-7", "-7.5", "a=b", "7"])
def test_other_text_stays_as_it_is(text: str) -> None:
    assert safe(text) == text


def test_a_record_has_the_id_and_the_columns() -> None:
    fields = (
        *("id", "identifiers.email", "identifiers.phone", "traits.first_name", "traits.score"),
        *("traits.tags", "traits.vip", "traits.none", "segments", "persona", "computed.revenue"),
    )
    text = (csv_head(fields) + csv_lines([ADA], fields)).decode()
    head, record = csv.reader(io.StringIO(text, newline=""))
    assert dict(zip(head, record, strict=True)) == {
        "id": "1",
        "identifiers.email": "ada@b.c; ada@d.e",
        "identifiers.phone": "+33612345678",
        "traits.first_name": '\'=HYPERLINK("x")',
        "traits.score": "-7",
        "traits.tags": '["x",1]',
        "traits.vip": "true",
        "traits.none": "",
        "segments": "a; b",
        "persona": "",
        "computed.revenue": '{"EUR":"1.50"}',
    }


def test_a_line_of_json_has_the_wanted_parts() -> None:
    assert json_lines([ADA, ADA], ("segments",)) == b'{"id":"1","segments":["a","b"]}\n' * 2
