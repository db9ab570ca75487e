"""Segment calls, with the bodies that real clients send."""

from typing import Any

import pytest

from shared.ids import touchpoint_id
from tests.unit.ingest.reading import RECEIVED_AT, pairs, read, refusal, registered

TRACK: dict[str, Any] = {
    "type": "track",
    "event": "Order Completed",
    "userId": "u1",
    "messageId": "m-1",
    "timestamp": "2024-01-02T03:04:05.000Z",
    "properties": {"order_id": "o1"},
}


def test_an_identify_of_segment_python() -> None:
    touchpoint = read(
        {
            "integrations": {},
            "anonymousId": None,
            "timestamp": "2025-11-20T22:49:09.506+00:00",
            "context": {
                "ip": "10.0.0.1",
                "library": {"name": "analytics-python", "version": "2.4.0"},
            },
            "type": "identify",
            "userId": "user-1",
            "traits": {"email": "A@example.com", "firstName": "Ada"},
            "messageId": "0640cf39-d228-4e4d-bde3-b76dc5b624b3",
        }
    )
    assert (touchpoint.type, touchpoint.kind, touchpoint.source) == ("identify", "identify", "web")
    assert pairs(touchpoint) == [("user_id", "user-1"), ("email", "a@example.com")]
    assert touchpoint.traits == {"email": "A@example.com", "first_name": "Ada"}
    assert touchpoint.occurred_at == "2025-11-20T22:49:09.506Z"
    assert touchpoint.context["library"]["name"] == "analytics-python"
    assert touchpoint.context["concert"] == {"extra": {"integrations": {}}}
    assert touchpoint.id == str(touchpoint_id("web", "0640cf39-d228-4e4d-bde3-b76dc5b624b3"))


def test_an_identify_of_rudder_has_its_traits_in_the_context() -> None:
    touchpoint = read(
        {
            "userId": "user-1",
            "context": {"traits": {"email": "a@example.com"}, "library": {"name": "node"}},
            "type": "identify",
            "channel": "server",
            "_metadata": {"nodeVersion": "20.20.2"},
            "originalTimestamp": "2025-11-20T22:49:58.919Z",
            "messageId": "0c5b519f",
            "sentAt": "2025-11-20T22:49:58.920Z",
        }
    )
    assert touchpoint.traits == {"email": "a@example.com"}
    assert ("email", "a@example.com") in pairs(touchpoint)
    assert "traits" not in touchpoint.context
    assert touchpoint.occurred_at == "2025-11-20T22:49:58.919Z"
    assert touchpoint.channel == "web", "rudder's `channel` is something else"
    assert touchpoint.context["concert"] == {
        "sent_at": "2025-11-20T22:49:58.920Z",
        "extra": {"channel": "server", "_metadata": {"nodeVersion": "20.20.2"}},
    }


def test_an_alias_of_segment_python() -> None:
    touchpoint = read(
        {"type": "alias", "previousId": "anon-1", "userId": "user-1", "messageId": "5322a472"}
    )
    assert pairs(touchpoint) == [("user_id", "user-1"), ("anonymous_id", "anon-1")]


def test_what_stood_beside_a_batch_goes_into_each_event() -> None:
    beside = (
        b'{"context":{"locale":"fr","ip":"1.1.1.1"},"integrations":{"All":true},'
        b'"sentAt":"2026-01-01T00:00:00Z"}'
    )
    touchpoint = read(
        {**TRACK, "context": {"ip": "2.2.2.2"}, "integrations": {"X": False}},
        {"x-concert-dialect": "segment", "x-concert-batch": beside},
    )
    assert (touchpoint.context["locale"], touchpoint.context["ip"]) == ("fr", "2.2.2.2")
    assert touchpoint.context["concert"] == {
        "sent_at": "2026-01-01T00:00:00Z",
        "late": True,
        "extra": {"integrations": {"All": True, "X": False}},
    }
    assert touchpoint.occurred_at == "2024-01-02T03:04:05.000Z"


def test_a_batch_s_time_is_not_the_event_s() -> None:
    event = {name: value for name, value in TRACK.items() if name != "timestamp"}
    assert read(event).occurred_at == RECEIVED_AT


def test_the_collector_s_word_holds() -> None:
    headers: dict[str, str | bytes] = {
        "x-concert-source": "s",
        "x-concert-dialect": "segment",
        "x-concert-kind": "track",
        "x-concert-received-at": "2025-11-21T07:59:01.000Z",
    }
    event = {name: value for name, value in TRACK.items() if name != "type"}
    touchpoint = read(event, headers, sources=registered())
    assert (touchpoint.source, touchpoint.kind) == ("s", "track")
    assert touchpoint.received_at == "2025-11-21T07:59:01.000Z"


@pytest.mark.parametrize(
    ("said", "holds"),
    [
        ("2025-11-21T07:59:00.123Z", True),
        ("2025-11-21T07:59:00.122Z", False),
        ("2001-01-01T00:00:00Z", False),
        (RECEIVED_AT, True),
        ("2025-11-21T08:00:00.124Z", False),
        ("9999-01-01T00:00:00Z", False),
    ],
)
def test_the_collector_s_word_holds_for_a_minute_before_the_record(said: str, holds: bool) -> None:
    headers: dict[str, str | bytes] = {"x-concert-source": "s", "x-concert-received-at": said}
    received = read(TRACK, headers, sources=registered()).received_at
    assert received == (said if holds else RECEIVED_AT)


def test_without_a_collector_its_time_header_is_not_believed() -> None:
    assert read(TRACK, {"x-concert-received-at": "2001-01-01T00:00:00Z"}).received_at == RECEIVED_AT


def test_page_and_screen_keep_their_name() -> None:
    page = read({"type": "page", "name": "Home", "category": "Shop", "userId": "u"})
    assert (page.type, page.properties) == ("page", {"name": "Home", "category": "Shop"})
    screen = read({"type": "screen", "name": "A", "properties": {"name": "B"}, "userId": "u"})
    assert screen.properties == {"name": "B"}


def test_a_group_s_traits_are_not_the_person_s() -> None:
    touchpoint = read(
        {"type": "group", "groupId": "g1", "traits": {"name": "Acme", "email": "x@acme.io"}}
        | {"userId": "u1"}
    )
    assert touchpoint.traits == {}
    assert touchpoint.properties == {
        "group_id": "g1",
        "group_traits": {"name": "Acme", "email": "x@acme.io"},
    }
    assert pairs(touchpoint) == [("user_id", "u1")]


def test_standard_traits_get_their_names() -> None:
    traits = {
        "firstName": "Ada",
        "first_name": "Augusta",
        "lastName": "L",
        "phone": 33612345678,
        "address": {"city": "Paris", "postalCode": "75001", "floor": 3},
    }
    touchpoint = read({"type": "identify", "userId": "u", "traits": traits})
    assert touchpoint.traits == {
        "first_name": "Augusta",
        "last_name": "L",
        "phone": 33612345678,
        "city": "Paris",
        "postal_code": "75001",
        "address": {"floor": 3},
    }


def test_external_ids_of_users_are_identifiers() -> None:
    external = [
        {"id": "crm-1", "type": "crmId", "collection": "users", "encoding": "none"},
        {"id": "acme", "type": "account_id", "collection": "accounts"},
        {"id": "0193abcd-0000-7000-8000-000000000001", "type": "profile_id"},
        {"id": "x", "type": "a b"},
    ]
    touchpoint = read({**TRACK, "context": {"externalIds": external}})
    assert pairs(touchpoint) == [("user_id", "u1"), ("crmid", "crm-1")]
    assert [
        (each["type"], each["reason"]) for each in touchpoint.context["concert"]["dropped"]
    ] == [
        ("profile_id", "reserved"),
        ("a b", "invalid"),
    ]


def test_the_secret_is_not_kept() -> None:
    touchpoint = read({**TRACK, "writeKey": "csk_secret"})
    assert "csk_secret" not in str(touchpoint)


def test_without_a_message_id_a_retry_is_the_same_event() -> None:
    event = {name: value for name, value in TRACK.items() if name != "messageId"}
    first, second = ({**event, "sentAt": f"2026-01-01T00:00:0{n}Z"} for n in (1, 2))
    assert read(first).id == read(second).id
    assert read(first).id != read({**event, "event": "Other"}).id


def test_numeric_user_ids() -> None:
    assert pairs(read({**TRACK, "userId": 123})) == [("user_id", "123")]


def test_a_blocked_id_leaves_the_event_without_a_person() -> None:
    touchpoint = read({**TRACK, "userId": "null"})
    assert pairs(touchpoint) == []
    assert touchpoint.context["concert"]["dropped"][0]["reason"] == "blocked"


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"event": None}, "event"),
        ({"event": 5}, "event"),
        ({"userId": None}, "userId"),
        ({"userId": 1.5}, "userId"),
        ({"userId": {"id": 1}}, "userId"),
        ({"messageId": []}, "messageId"),
        ({"timestamp": "now"}, "timestamp"),
        ({"timestamp": 1700000000}, "timestamp"),
        ({"properties": []}, "properties"),
        ({"context": "x"}, "context"),
        ({"context": {"traits": 1}}, "context.traits"),
        ({"context": {"externalIds": {}}}, "context.externalIds"),
        ({"type": "group"}, "groupId"),
    ],
)
def test_a_wrong_field_is_named(change: dict[str, Any], path: str) -> None:
    refused = refusal({**TRACK, **change})
    assert (refused.reason, refused.path) == ("spec_violation", path)


def test_a_kind_nobody_knows() -> None:
    refused = refusal({**TRACK, "type": "delete"}, {"x-concert-dialect": "segment"})
    assert (refused.reason, refused.path) == ("spec_violation", "type")


def test_what_the_collector_refused_is_refused() -> None:
    refused = refusal(b"not json", {"x-concert-refused": "too_large: 3000000 bytes"})
    assert (refused.reason, refused.detail) == ("too_large", "3000000 bytes")


def test_a_dialect_nobody_knows() -> None:
    assert refusal(TRACK, {"x-concert-dialect": "klingon"}).reason == "spec_violation"
