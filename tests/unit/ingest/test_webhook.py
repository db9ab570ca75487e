"""Webhooks: what a mapping may say, and what becomes of bodies that fit it and that do not."""

from typing import Any

import orjson
import pytest

from services.ingest.domain.dialect import read_touchpoints
from services.ingest.domain.mapping import parse_mapping
from services.ingest.domain.webhook import MAX_ITEMS, MAX_MADE_BYTES, Reads
from shared.contracts.dead_letter import Headers
from shared.errors import InvalidData
from shared.ids import touchpoint_id
from tests.unit.ingest.reading import RAW, RECEIVED_AT, TIMESTAMP, pairs, registered

MAPPING: dict[str, Any] = {
    "each": "orders",
    "type": {"const": "Order Completed"},
    "id": "no",
    "occurred_at": {"path": "paid", "unit": "seconds"},
    "identifiers": [
        {"type": "email", "value": "buyer.mail"},
        {"type": "loyalty_id", "value": "buyer.cards[0]"},
    ],
    "properties": {"total": "sum.amount", "shop": "$.shop.name", "kind": {"const": "web"}},
    "traits": {"first_name": {"path": "buyer.name", "default": "friend"}},
}
ORDER: dict[str, Any] = {
    "no": 7,
    "paid": 1_704_164_645,
    "buyer": {"mail": "Ada@b.c", "cards": ["L-1", "L-2"]},
    "sum": {"amount": 59.9},
}
BODY: dict[str, Any] = {"shop": {"name": "Lyon"}, "orders": [ORDER]}


def reads(
    body: Any,
    mapping: dict[str, Any] | None = MAPPING,
    headers: Headers = (),
    **settings: Any,
) -> Reads:
    """What the worker reads of a body that came to the webhook of `s`."""
    return read_touchpoints(
        body if isinstance(body, bytes) else orjson.dumps(body),
        raw=RAW,
        timestamp=TIMESTAMP,
        headers=(("x-concert-source", b"s"), ("x-concert-dialect", b"webhook"), *headers),
        channel="web",
        sources=registered(dialect="webhook", mapping=mapping, **settings),
    )


def test_every_item_of_the_list_is_an_event() -> None:
    second = {**ORDER, "no": "8", "buyer": {"mail": None, "name": "Bo"}}
    first, other = reads({**BODY, "orders": [ORDER, second]}).touchpoints
    assert first.id == str(touchpoint_id("s", "7"))
    assert (first.type, first.kind, first.source) == ("Order Completed", "track", "s")
    assert first.occurred_at == "2024-01-02T03:04:05.000Z"
    assert pairs(first) == [("email", "ada@b.c"), ("loyalty_id", "L-1")]
    assert first.properties == {"total": 59.9, "shop": "Lyon", "kind": "web"}
    assert first.traits == {"first_name": "friend"}
    assert (pairs(other), other.traits) == ([], {"first_name": "Bo"})


def test_a_bad_item_leaves_its_neighbours() -> None:
    bad = {**ORDER, "no": {"a": 1}}
    late = {**ORDER, "no": 9, "paid": "noon"}
    found = reads({**BODY, "orders": [ORDER, bad, late, {**ORDER, "no": 10}]})
    assert [one.message_id for one in found.touchpoints] == ["7", "10"]
    assert [(one.reason, one.path) for one in found.failures] == [
        ("adapter", "orders[1]: no"),
        ("adapter", "orders[2]: paid"),
    ]


def test_an_id_that_comes_twice_in_one_body_is_one_event() -> None:
    found = reads({**BODY, "orders": [ORDER, {**ORDER, "sum": {}}, {**ORDER, "no": 8}]})
    assert [one.message_id for one in found.touchpoints] == ["7", "8"]
    assert found.touchpoints[0].properties["total"] == 59.9, "the first"
    nameless = {name: value for name, value in MAPPING.items() if name != "id"}
    assert len(reads({**BODY, "orders": [ORDER, ORDER]}, nameless).touchpoints) == 1


def test_a_time_without_offset_is_in_the_zone_of_the_source() -> None:
    mapping = {"type": {"const": "Seen"}, "occurred_at": "at"}
    (one,) = reads({"at": "2025-01-02T03:04:05"}, mapping, timezone="Europe/Paris").touchpoints
    assert one.occurred_at == "2025-01-02T02:04:05.000Z"


def test_without_a_list_the_body_is_the_event_and_its_properties() -> None:
    (one,) = reads({"event": "Paid", "n": 1}, {"type": "event"}).touchpoints
    assert (one.type, one.properties) == ("Paid", {"event": "Paid", "n": 1})
    assert one.occurred_at == RECEIVED_AT
    (again,) = reads({"n": 1, "event": "Paid"}, {"type": "event"}).touchpoints
    assert again.id == one.id, "equal bodies are one event"


def test_an_id_of_the_whole_body_is_numbered() -> None:
    mapping = {"each": "$.lines", "type": {"const": "Line"}, "id": "$.order"}
    found = reads({"order": "o-1", "lines": ["a", "a"]}, mapping).touchpoints
    assert [one.message_id for one in found] == ["o-1#0", "o-1#1"]
    assert found[0].properties == {"item": "a"}


def test_a_body_may_be_a_list() -> None:
    mapping = {"each": "$", "type": "[0]", "properties": {"second": "@[1]"}}
    (one,) = reads([["Seen", 5]], mapping).touchpoints
    assert (one.type, one.properties) == ("Seen", {"second": 5})


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"orders": {}}, "orders"),
        ({}, "orders"),
        ([], "orders"),
        ({"orders": [1] * (MAX_ITEMS + 1)}, None),
    ],
)
def test_a_body_that_the_mapping_cannot_read(body: Any, path: str | None) -> None:
    with pytest.raises(InvalidData) as refused:
        reads(body)
    assert (refused.value.reason, refused.value.path) == ("adapter", path)


def test_no_json_and_no_mapping() -> None:
    with pytest.raises(InvalidData) as refused:
        reads(b"{")
    assert refused.value.reason == "malformed_payload"
    with pytest.raises(InvalidData) as refused:
        reads({}, None)
    assert refused.value.reason == "adapter"


@pytest.mark.parametrize("paid", [1e300, True, "noon", "1e3", [1]])
def test_a_number_that_is_no_time(paid: Any) -> None:
    found = reads({**BODY, "orders": [{**ORDER, "paid": paid}]})
    assert found.touchpoints == []
    (failure,) = found.failures
    assert (failure.reason, failure.path) == ("adapter", "orders[0]: paid")


def test_a_small_body_does_not_become_a_large_one() -> None:
    mapping = {"each": "rows", "type": {"const": "Row"}, "properties": {"all": "$"}}
    found = reads({"rows": list(range(900)), "pad": "x" * 200_000}, mapping)
    assert sum(len(orjson.dumps(one.properties)) for one in found.touchpoints) < MAX_MADE_BYTES
    assert len(found.touchpoints) + len(found.failures) == 900


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"type": None}, "mapping.type"),
        ({"type": ""}, "mapping.type"),
        ({"type": "a..b"}, "mapping.type"),
        ({"type": "a[x]"}, "mapping.type"),
        ({"type": ".a"}, "mapping.type"),
        ({"type": "a."}, "mapping.type"),
        ({"type": "a.[0]"}, "mapping.type"),
        ({"type": "$."}, "mapping.type"),
        ({"type": "@."}, "mapping.type"),
        ({"type": ".".join("a" * 17)}, "mapping.type"),
        ({"type": {}}, "mapping.type"),
        ({"type": {"const": 1, "path": "a"}}, "mapping.type.path"),
        ({"type": {"path": 1}}, "mapping.type.path"),
        ({"kind": "tracks"}, "mapping.kind"),
        ({"id": {"const": "x"}}, "mapping.id"),
        ({"type": {"const": None}}, "mapping.type.const"),
        ({"type": {"const": 5}}, "mapping.type.const"),
        ({"each": 1}, "mapping.each"),
        ({"occurred_at": {"path": "a", "unit": "hours"}}, "mapping.occurred_at.unit"),
        ({"identifiers": {}}, "mapping.identifiers"),
        ({"identifiers": [1]}, "mapping.identifiers[0]"),
        ({"identifiers": [{"type": "E-mail", "value": "a"}]}, "mapping.identifiers[0].type"),
        ({"identifiers": [{"type": "email"}]}, "mapping.identifiers[0].value"),
        ({"identifiers": [{"type": "email", "value": "a", "x": 1}]}, "mapping.identifiers[0].x"),
        ({"properties": {"a": 1}}, "mapping.properties.a"),
        ({"properties": [1]}, "mapping.properties"),
        ({"properties": {str(n): "a" for n in range(301)}}, "mapping.properties"),
        ({"traits": {"a": {"pat": "b"}}}, "mapping.traits.a.pat"),
        ({"typo": "a"}, "mapping.typo"),
        ({"type": {"const": "x" * 20_000}}, "mapping"),
    ],
)
def test_a_wrong_mapping_is_refused_with_its_place(change: dict[str, Any], path: str) -> None:
    with pytest.raises(InvalidData) as refused:
        parse_mapping({**MAPPING, **change})
    assert refused.value.path == path


def test_a_mapping_needs_a_type() -> None:
    with pytest.raises(InvalidData, match=r"mapping\.type"):
        parse_mapping({})
