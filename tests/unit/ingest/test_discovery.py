"""What is new is handed out once; everything is bounded."""

from typing import Any

from services.ingest.domain.discovery import (
    MAX_ITEMS,
    MAX_PATH_BYTES,
    MAX_PROPERTIES_PER_TYPE,
    MAX_TYPES_PER_SOURCE,
    Discovery,
)
from shared.contracts.touchpoint import Touchpoint
from tests.unit.ingest.reading import NATIVE, read

MANY = 1_000_000


def seen(properties: dict[str, Any], **fields: Any) -> Touchpoint:
    return read({**NATIVE, "properties": properties, **fields})


def found(discovery: Discovery) -> set[tuple[str, str]]:
    return {(one.path, one.json_type) for one in discovery.take(MANY).properties}


def test_places_and_their_json_types() -> None:
    discovery = Discovery()
    discovery.note(
        seen({"id": "o", "n": 1, "x": 1.5, "b": True, "none": None, "to": {"city": "Paris"}})
    )
    discovery.note(seen({"products": [{"sku": "a"}, {"price": 2}], "tags": ["x"], "rows": [[1]]}))
    assert found(discovery) == {
        ("id", "string"),
        ("n", "integer"),
        ("x", "number"),
        ("b", "boolean"),
        ("none", "null"),
        ("to", "object"),
        ("to.city", "string"),
        ("products", "array"),
        ("products[]", "object"),
        ("products[].sku", "string"),
        ("products[].price", "integer"),
        ("tags", "array"),
        ("tags[]", "string"),
        ("rows", "array"),
        ("rows[]", "array"),
        ("rows[][]", "integer"),
    }


def test_only_what_is_new_is_handed_out() -> None:
    discovery = Discovery()
    discovery.note(seen({"total": 1}))
    assert found(discovery) == {("total", "integer")}
    discovery.note(seen({"total": 2}))
    assert found(discovery) == set()
    discovery.note(seen({"total": 2.5, "coupon": "X"}))
    assert found(discovery) == {("total", "number"), ("coupon", "string")}
    discovery.note(seen({"total": 1}, source="tills"))
    assert found(discovery) == {("total", "integer")}, "another source"


def test_events_are_counted_until_they_are_taken() -> None:
    discovery = Discovery()
    first, last = seen({}), seen({})
    first.received_at, last.received_at = "2026-01-01T00:00:00.000Z", "2026-01-03T00:00:00.000Z"
    discovery.note_all([last, first])
    (one,) = discovery.take(MANY).types
    assert (one.source, one.type, one.events) == ("web-shop", "Order Completed", 2)
    assert (one.first_seen, one.last_seen) == (first.received_at, last.received_at)
    assert discovery.take(MANY).types == []


def test_what_could_not_be_written_is_handed_out_again() -> None:
    discovery = Discovery()
    discovery.note(seen({"a": 1}))
    discovery.put_back(discovery.take(MANY))
    discovery.note(seen({"b": 1}))
    again = discovery.take(MANY)
    assert [one.path for one in again.properties] == ["a", "b"]
    assert [one.events for one in again.types] == [2]


def test_it_is_handed_out_in_parts() -> None:
    discovery = Discovery()
    discovery.note(seen({f"p{n}": 1 for n in range(25)}))
    parts = [len(discovery.take(10).properties) for _ in range(4)]
    assert parts == [10, 10, 5, 0]


def test_names_that_are_data_do_not_pile_up() -> None:
    discovery = Discovery()
    for number in range(MAX_PROPERTIES_PER_TYPE * 3):
        discovery.note(seen({f"id-{number}": 1}))
    for number in range(MAX_TYPES_PER_SOURCE * 2):
        discovery.note(seen({}, type=f"Type {number}"))
    batch = discovery.take(MANY)
    assert len(batch.properties) == MAX_PROPERTIES_PER_TYPE
    assert len(batch.types) == MAX_TYPES_PER_SOURCE


def test_what_is_not_looked_at() -> None:
    discovery = Discovery()
    items: list[object] = [1] * MAX_ITEMS
    discovery.note(seen({"list": [*items, "late"], "é" * MAX_PATH_BYTES: 1}))
    assert found(discovery) == {("list", "array"), ("list[]", "integer")}
