"""Native records."""

from typing import Any

import pytest

from shared.contracts.touchpoint import touchpoint_encoder
from shared.ids import touchpoint_id
from tests.unit.ingest.reading import (
    NATIVE,
    RAW,
    RECEIVED_AT,
    pairs,
    read,
    refusal,
    registered,
)


def test_the_least_that_is_enough() -> None:
    touchpoint = read(NATIVE)
    assert touchpoint.id == str(touchpoint_id("web-shop", "m-1"))
    assert (touchpoint.message_id, touchpoint.source) == ("m-1", "web-shop")
    assert (touchpoint.channel, touchpoint.type) == ("web", "Order Completed")
    assert (touchpoint.kind, touchpoint.historical) == ("track", False)
    assert touchpoint.occurred_at == "2025-11-21T07:00:00.000Z"
    assert touchpoint.received_at == RECEIVED_AT
    assert pairs(touchpoint) == [("user_id", "u1")]
    assert (touchpoint.traits, touchpoint.properties, touchpoint.context) == ({}, {}, {})
    assert touchpoint.raw == RAW


def test_everything_that_may_be_said() -> None:
    touchpoint = read(
        {
            **NATIVE,
            "kind": "identify",
            "channel": "app",
            "traits": {"email": "a@b.c"},
            "properties": {"total": 59.9},
            "context": {"locale": "fr-FR"},
            "schema": "Order Completed/2",
            "trace": "00-x",
            "historical": True,
        }
    )
    assert (touchpoint.kind, touchpoint.channel) == ("identify", "app")
    assert (touchpoint.traits, touchpoint.properties) == ({"email": "a@b.c"}, {"total": 59.9})
    assert touchpoint.context == {"locale": "fr-FR"}
    assert (touchpoint.schema, touchpoint.trace) == ("Order Completed/2", "00-x")
    assert touchpoint.historical
    assert pairs(touchpoint) == [("user_id", "u1")], "native traits are never promoted"


def test_fields_nobody_knows_are_kept() -> None:
    touchpoint = read({**NATIVE, "colour": "red", "received_at": "2001-01-01T00:00:00Z"})
    assert touchpoint.context == {
        "concert": {"extra": {"colour": "red", "received_at": "2001-01-01T00:00:00Z"}}
    }
    assert touchpoint.received_at == RECEIVED_AT, "a publisher does not say when we received it"


def test_nobody_else_writes_into_our_context() -> None:
    touchpoint = read({**NATIVE, "context": {"concert": {"trust": 100}, "locale": "fr"}})
    assert touchpoint.context == {
        "locale": "fr",
        "concert": {"extra": {"context.concert": {"trust": 100}}},
    }


def test_a_source_s_settings_hold() -> None:
    sources = registered(default_region="FR", trust=90)
    event = {**NATIVE, "source": "s", "identifiers": [{"type": "phone", "value": "0612345678"}]}
    touchpoint = read(event, sources=sources)
    assert pairs(touchpoint) == [("phone", "+33612345678")]
    assert touchpoint.context == {"concert": {"trust": 90}}


def test_a_bad_identifier_does_not_cost_the_event() -> None:
    bad = [{"type": "phone", "value": "12"}, {"type": "email", "value": None}]
    touchpoint = read({**NATIVE, "identifiers": [*bad, *NATIVE["identifiers"]]})
    assert pairs(touchpoint) == [("user_id", "u1")]
    assert touchpoint.context["concert"]["dropped"] == [
        {"type": "phone", "value": "12", "reason": "invalid"},
        {"type": "email", "value": None, "reason": "blocked"},
    ]


def test_whole_numbers_are_ids() -> None:
    numbered = {**NATIVE, "id": 7, "identifiers": [{"type": "loyalty_id", "value": 12}]}
    touchpoint = read(numbered)
    assert touchpoint.message_id == "7"
    assert pairs(touchpoint) == [("loyalty_id", "12")]


def test_null_counts_as_absent() -> None:
    optional = ("id", "kind", "channel", "occurred_at", "traits", "properties", "context", "schema")
    touchpoint = read({**NATIVE, **dict.fromkeys(optional), "historical": None})
    assert touchpoint.occurred_at == RECEIVED_AT
    assert touchpoint.message_id.startswith("sha256:")


def test_without_an_id_equal_bodies_are_one_event() -> None:
    event = {name: value for name, value in NATIVE.items() if name != "id"}
    backwards = dict(reversed(event.items()))
    assert read(event).id == read(backwards).id
    assert read(event).id != read({**event, "row": 2}).id
    assert read(event).id != read({**event, "source": "other"}).id


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"source": None}, "source"),
        ({"source": " "}, "source"),
        ({"type": None}, "type"),
        ({"type": 5}, "type"),
        ({"type": "x" * 300}, "type"),
        ({"id": 1.5}, "id"),
        ({"id": True}, "id"),
        ({"kind": "purchase"}, "kind"),
        ({"channel": "Web Shop"}, "channel"),
        ({"occurred_at": "soon"}, "occurred_at"),
        ({"identifiers": {"user_id": "u1"}}, "identifiers"),
        ({"identifiers": ["u1"]}, "identifiers[0]"),
        ({"identifiers": [{"value": "u1"}]}, "identifiers[0].type"),
        ({"identifiers": [{"type": "User Id", "value": "u1"}]}, "identifiers[0].type"),
        ({"identifiers": [{"type": "user_id", "value": ["u1"]}]}, "identifiers[0].value"),
        ({"identifiers": [{"type": "user_id", "value": True}]}, "identifiers[0].value"),
        ({"traits": []}, "traits"),
        ({"properties": "x"}, "properties"),
        ({"context": 1}, "context"),
        ({"historical": "yes"}, "historical"),
    ],
)
def test_a_wrong_field_is_named(change: dict[str, Any], path: str) -> None:
    refused = refusal({**NATIVE, **change})
    assert (refused.reason, refused.path) == ("spec_violation", path)


@pytest.mark.parametrize("value", [b"[]", b'"x"', b"7", b"null", b"true"])
def test_an_event_is_an_object(value: bytes) -> None:
    assert refusal(value).reason == "spec_violation"


def test_an_unregistered_source_where_only_registered_ones_may_publish() -> None:
    refused = refusal(NATIVE, sources=registered())
    assert (refused.reason, refused.path) == ("unknown_source", "source")


def test_the_same_record_gives_the_same_bytes() -> None:
    event = {**NATIVE, **{f"x{n}": n for n in range(50)}}
    once, again = (touchpoint_encoder.encode(read(event)) for _ in range(2))
    assert once == again
    assert list(read(event).context["concert"]["extra"]) == [f"x{n}" for n in range(50)]


def test_the_record_s_trace_goes_along() -> None:
    traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    assert read(NATIVE, {"traceparent": traceparent}).trace == traceparent
    assert read(NATIVE, {"traceparent": b"\xff"}).trace is None
