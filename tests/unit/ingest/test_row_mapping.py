"""Which column becomes which field, and every mistake of a mapping by its path."""

from typing import Any

import pytest

from services.ingest.domain.read_mapping import read_mapping
from services.ingest.domain.row_mapping import columns_of, event_of
from shared.errors import InvalidData, Unprocessable

TILL = {
    "format": {"delimiter": ";", "encoding": "windows-1252", "decimal": ","},
    "id": "receipt",
    "type": {"constant": "POS Order Completed"},
    "occurred_at": {"column": "day", "format": "%d.%m.%Y %H:%M", "timezone": "Europe/Paris"},
    "identifiers": [
        {"type": "loyalty_id", "column": "card"},
        {"type": "email", "column": "mail"},
    ],
    "traits": {"first_name": "name"},
    "properties": {
        "total": {"column": "amount", "as": "number"},
        "pieces": {"column": "pieces", "as": "integer"},
        "gift": {"column": "gift", "as": "boolean"},
        "currency": {"constant": "EUR"},
    },
}
ROW = {
    "receipt": " 00017 ",
    "day": "05.07.2026 14:30",
    "card": "L-1",
    "mail": "",
    "name": "Zoé",
    "amount": "1.234,50",
    "pieces": "3",
    "gift": "No",
}


def test_a_row_becomes_an_event() -> None:
    assert event_of(ROW, read_mapping(TILL), None) == {
        "id": "00017",
        "type": "POS Order Completed",
        "occurred_at": "2026-07-05T12:30:00.000Z",
        "identifiers": [{"type": "loyalty_id", "value": "L-1"}],
        "traits": {"first_name": "Zoé"},
        "properties": {"total": 1234.5, "pieces": 3, "gift": False, "currency": "EUR"},
    }


@pytest.mark.parametrize(
    ("column", "cell", "path"),
    [
        ("receipt", "", "id"),
        ("day", "5th of July", "occurred_at"),
        ("day", "31.02.2026 10:00", "occurred_at"),
        ("day", "", "occurred_at"),
        ("amount", "twelve", "properties.total"),
        ("amount", "NaN", "properties.total"),
        ("pieces", "2,5", "properties.pieces"),
        ("pieces", "1e999999", "properties.pieces"),
        ("gift", "maybe", "properties.gift"),
    ],
)
def test_a_cell_that_is_not_what_it_should_be_names_the_field(
    column: str, cell: str, path: str
) -> None:
    with pytest.raises(InvalidData) as refused:
        event_of({**ROW, column: cell}, read_mapping(TILL), None)
    assert (refused.value.reason, refused.value.path) == ("spec_violation", path)


@pytest.mark.parametrize(
    ("spec", "cell", "expected"),
    [
        ("at", "2026-07-05", "2026-07-05"),  # the worker reads ISO 8601, in the source's zone
        ({"column": "at", "timezone": "Europe/Paris"}, "2026-07-05", "2026-07-04T22:00:00.000Z"),
        ({"column": "at", "format": "%Y%m%d"}, "20260705", "2026-07-05T04:00:00.000Z"),
        ({"column": "at", "format": "unix"}, "1783238400", "2026-07-05T08:00:00.000Z"),
        ({"column": "at", "format": "unix"}, 1783238400.25, "2026-07-05T08:00:00.250Z"),
        ({"column": "at", "format": "unix_ms"}, 1783238400001, "2026-07-05T08:00:00.001Z"),
        (
            {"column": "at", "format": "%Y-%m-%dT%H:%M:%S%z"},
            "2026-07-05T10:00:00+0200",
            "2026-07-05T08:00:00.000Z",
        ),
    ],
)
def test_times(spec: Any, cell: Any, expected: str) -> None:
    mapping = read_mapping({"type": "kind", "occurred_at": spec})
    event = event_of({"kind": "Seen", "at": cell}, mapping, "America/New_York")
    assert event["occurred_at"] == expected


@pytest.mark.parametrize(
    ("decimal", "cell", "expected"),
    [
        (".", "12.50", 12.5),
        (".", "-3e2", -300),
        (",", "12,50", 12.5),
        (",", "1250", 1250),
        (",", "1.234.567,89", 1234567.89),
        (",", 12.5, 12.5),
        (",", "12.50", None),
        (",", "1.234", None),
        (",", "1.2.3", None),
        (",", "12.34,5", None),
        (".", "12,50", None),
        (".", "1_000", None),
        (".", "\u0661\u0662", None),
        (".", "NaN", None),
    ],
)
def test_a_number_is_read_as_it_is_written_or_not_at_all(
    decimal: str, cell: Any, expected: float | None
) -> None:
    mapping = read_mapping(
        {
            "format": {"decimal": decimal},
            "type": "kind",
            "properties": {"n": {"column": "n", "as": "number"}},
        }
    )
    row = {"kind": "Sold", "n": cell}
    if expected is None:
        with pytest.raises(InvalidData):
            event_of(row, mapping, None)
    else:
        assert event_of(row, mapping, None)["properties"]["n"] == expected


def test_rows_with_objects_inside() -> None:
    mapping = read_mapping({"type": "what.name", "properties": {"all": "what", "one": "a.b"}})
    event = event_of({"what": {"name": "Seen"}, "a.b": 7}, mapping, None)
    assert (event["type"], event["properties"]) == ("Seen", {"all": {"name": "Seen"}, "one": 7})


def test_the_columns_a_mapping_names() -> None:
    assert dict(columns_of(read_mapping(TILL))) == {
        "id": "receipt",
        "occurred_at": "day",
        "identifiers[0]": "card",
        "identifiers[1]": "mail",
        "traits.first_name": "name",
        "properties.total": "amount",
        "properties.pieces": "pieces",
        "properties.gift": "gift",
    }


@pytest.mark.parametrize(
    ("change", "path", "told"),
    [
        ({"propertys": {}}, "propertys", 'Did you mean "properties"?'),
        ({"type": 7}, "type", "must be an object, is 7"),
        ({"type": {}}, "type", "must be a column's name"),
        ({"type": {"column": "a", "constant": "b"}}, "type", "must be a column's name"),
        ({"id": {"constant": "x"}}, "id", "all rows one event"),
        ({"occurred_at": {"column": "day", "timezone": "Paris"}}, "occurred_at.timezone", "IANA"),
        ({"occurred_at": {"format": "%Y"}}, "occurred_at.column", "must be a text"),
        ({"identifiers": {}}, "identifiers", "must be a list"),
        ({"identifiers": [{"type": "E-Mail", "column": "m"}]}, "identifiers[0].type", "lower-case"),
        ({"identifiers": [{"type": "email"}]}, "identifiers[0]", "must be a column's name"),
        ({"properties": {"n": {"column": "n", "as": "float"}}}, "properties.n.as", "one of text"),
        ({"format": {"encoding": "utf-16"}}, "format.encoding", "one of utf-8"),
        ({"format": {"delimiter": "||"}}, "format.delimiter", "one character"),
        ({"format": {"decimal": "'"}}, "format.decimal", ". or ,"),
        ({"format": {"header": "a,b"}}, "format.header", "a list of column names"),
    ],
)
def test_a_mistake_is_named_with_its_path(change: dict[str, Any], path: str, told: str) -> None:
    with pytest.raises(Unprocessable) as refused:
        read_mapping({**TILL, **change})
    (problem,) = refused.value.problems
    assert problem.path == path
    assert told in problem.message


def test_all_mistakes_are_named_at_once() -> None:
    with pytest.raises(Unprocessable) as refused:
        read_mapping({"id": {"constant": 1}, "traits": [], "when": "day"})
    assert {problem.path for problem in refused.value.problems} == {"id", "traits", "when", "type"}
    with pytest.raises(Unprocessable):
        read_mapping([])
