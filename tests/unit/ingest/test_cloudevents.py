"""CloudEvents in the Kafka binding, with the bytes that real clients send."""

import base64
from typing import Any

import pytest

from services.ingest.domain.source import Source, Sources
from shared.ids import touchpoint_id
from tests.unit.ingest.reading import RECEIVED_AT, pairs, read, refusal

BINARY: dict[str, str | bytes] = {
    "ce_id": "ce-1",
    "ce_type": "com.acme.order.completed",
    "ce_source": "/pos/42",
    "ce_specversion": "1.0",
    "ce_subject": "user-1",
    "content-type": "application/json",
    "ce_partitionkey": "user-1",
    "ce_time": "2024-01-02T03:04:05.000Z",
}
STRUCTURED: dict[str, Any] = {
    "specversion": "1.0",
    "id": "ce-1",
    "source": "/pos/42",
    "type": "com.acme.order.completed",
    "time": "2024-01-02T03:04:05.000Z",
    "data": {"total": 10.5},
}
IS_STRUCTURED: dict[str, str | bytes] = {"content-type": "application/cloudevents+json"}


def test_a_binary_event_of_the_python_sdk() -> None:
    touchpoint = read({"total": 10.5}, BINARY)
    assert touchpoint.id == str(touchpoint_id("/pos/42", "ce-1"))
    assert (touchpoint.source, touchpoint.message_id) == ("/pos/42", "ce-1")
    assert (touchpoint.type, touchpoint.kind) == ("com.acme.order.completed", "track")
    assert touchpoint.properties == {"total": 10.5}
    assert touchpoint.occurred_at == "2024-01-02T03:04:05.000Z"
    assert touchpoint.identifiers == [], "a subject is an identifier only if the source says so"
    assert touchpoint.context["cloudevents"]["subject"] == "user-1"
    assert touchpoint.context["cloudevents"]["partitionkey"] == "user-1"


def test_structured_and_binary_are_one_event() -> None:
    headers: dict[str, str | bytes] = {
        "Content-Type": "Application/CloudEvents+JSON; charset=utf-8"
    }
    structured, binary = read(STRUCTURED, headers), read({"total": 10.5}, BINARY)
    assert structured.id == binary.id
    assert structured.properties == binary.properties


def test_the_subject_becomes_an_identifier_if_the_source_says_which() -> None:
    source = Source(id="/pos/42", name="Till", channel="web", subject_as="user_id")
    touchpoint = read({}, BINARY, sources=Sources({"/pos/42": source}, False))
    assert pairs(touchpoint) == [("user_id", "user-1")]


def test_the_collector_s_source_does_not_change_the_id() -> None:
    touchpoint = read({}, {**BINARY, "x-concert-source": "tills"})
    assert touchpoint.source == "tills"
    assert touchpoint.id == str(touchpoint_id("/pos/42", "ce-1"))


def test_nobody_speaks_in_the_name_of_another_registered_source() -> None:
    both = {name: Source(id=name, name=name, channel="web") for name in ("/pos/42", "tills")}
    sources = Sources(both, False)
    assert read({}, BINARY, sources=sources).source == "/pos/42"
    refused = refusal({}, {**BINARY, "x-concert-source": "tills"}, sources)
    assert (refused.reason, refused.path) == ("spec_violation", "source")
    unknown = {**BINARY, "ce_source": "/pos/43", "x-concert-source": "tills"}
    assert read({}, unknown, sources=sources).source == "tills"


def test_identifiers_and_traits_in_the_data() -> None:
    data = {"identifiers": [{"type": "email", "value": "A@b.c"}], "traits": {"city": "Paris"}}
    touchpoint = read({**data, "total": 1}, BINARY)
    assert pairs(touchpoint) == [("email", "a@b.c")]
    assert (touchpoint.traits, touchpoint.properties) == ({"city": "Paris"}, {"total": 1})


@pytest.mark.parametrize("value", [None, b""])
def test_a_binary_event_may_have_no_data(value: bytes | None) -> None:
    touchpoint = read(value, BINARY)
    assert touchpoint.properties == {}


def test_data_that_is_no_object_is_kept() -> None:
    assert read([1, 2], BINARY).properties == {"data": [1, 2]}
    text: dict[str, str | bytes] = {**BINARY, "content-type": "text/plain"}
    assert read(b"\xff\x00", text).properties == {
        "data_base64": base64.b64encode(b"\xff\x00").decode()
    }
    packed = {name: value for name, value in STRUCTURED.items() if name != "data"}
    assert read({**packed, "data_base64": "AAE="}, IS_STRUCTURED).properties == {
        "data_base64": "AAE="
    }


def test_without_a_content_type_data_is_json() -> None:
    headers = {name: value for name, value in BINARY.items() if name != "content-type"}
    assert read({"a": 1}, headers).properties == {"a": 1}


def test_extensions_are_kept_and_a_trace_is_taken() -> None:
    event = {**STRUCTURED, "tenant": "t1", "traceparent": "00-abc", "dataschema": "urn:x"}
    touchpoint = read(event, IS_STRUCTURED)
    assert touchpoint.context["cloudevents"]["tenant"] == "t1"
    assert (touchpoint.trace, touchpoint.schema) == ("00-abc", "urn:x")


def test_without_a_time_it_occurred_when_it_came() -> None:
    event = {name: value for name, value in STRUCTURED.items() if name != "time"}
    assert read(event, IS_STRUCTURED).occurred_at == RECEIVED_AT


@pytest.mark.parametrize(
    ("event", "headers", "reason"),
    [
        ({**STRUCTURED, "id": ""}, IS_STRUCTURED, "spec_violation"),
        ({**STRUCTURED, "source": 5}, IS_STRUCTURED, "spec_violation"),
        ({**STRUCTURED, "specversion": "0.3"}, IS_STRUCTURED, "spec_violation"),
        ({**STRUCTURED, "time": "noon"}, IS_STRUCTURED, "spec_violation"),
        ({**STRUCTURED, "data_base64": "AAE="}, IS_STRUCTURED, "spec_violation"),
        ([STRUCTURED], IS_STRUCTURED, "spec_violation"),
        (None, IS_STRUCTURED, "empty"),
        (
            [STRUCTURED],
            {"content-type": "application/cloudevents-batch+json"},
            "spec_violation",
        ),
        (STRUCTURED, {"content-type": "application/cloudevents+avro"}, "spec_violation"),
        ({}, {**BINARY, "ce_id": b"\xff"}, "malformed_payload"),
        ({}, {**BINARY, "ce_subject": b"a\x00"}, "malformed_payload"),
        ({}, {**BINARY, "ce_id": b""}, "spec_violation"),
        (b'{"a":NaN}', BINARY, "malformed_payload"),
    ],
)
def test_what_is_no_cloudevent(event: Any, headers: dict[str, str | bytes], reason: str) -> None:
    assert refusal(event, headers).reason == reason


def test_base64_has_to_be_base64() -> None:
    packed = {name: value for name, value in STRUCTURED.items() if name != "data"}
    assert refusal({**packed, "data_base64": "%"}, IS_STRUCTURED).path == "data_base64"


def test_without_all_four_headers_it_is_something_else() -> None:
    headers = {name: value for name, value in BINARY.items() if name != "ce_specversion"}
    assert refusal({"total": 1}, headers).path == "source", "read as a native record"
