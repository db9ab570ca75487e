"""CloudEvents over HTTP become the records that the worker reads from Kafka."""

from typing import Any

import orjson
import pytest

from services.ingest.domain.cloudevents_http import (
    MAX_ATTRIBUTE_BYTES,
    cloudevent_headers,
    open_cloudevents,
)
from services.ingest.domain.envelope import MAX_EVENTS, RawRecords
from shared.contracts.touchpoint import Touchpoint
from shared.errors import InvalidData, TooLarge
from tests.unit.ingest.reading import read

EVENT: dict[str, Any] = {
    "specversion": "1.0",
    "id": "ce-1",
    "source": "/pos/42",
    "type": "sold",
    "data": {"total": 1},
}
HEADERS: dict[str, str] = {
    "ce-id": "ce-1",
    "ce-source": "/pos/42",
    "ce-specversion": "1.0",
    "ce-type": "sold",
}
ONE = "application/cloudevents+json"
MANY = "application/cloudevents-batch+json"


def opened(
    body: Any, content_type: str = "application/json", headers: dict[str, str] = HEADERS
) -> RawRecords:
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    sent = body if isinstance(body, bytes) else orjson.dumps(body)
    stated = cloudevent_headers(content_type, raw)
    return open_cloudevents(content_type, stated, sent)._replace(headers=stated)


def as_read(records: RawRecords) -> Touchpoint:
    """What the worker makes of the one record."""
    ((_, value),) = records.records
    return read(value, {**dict(records.headers), "x-concert-dialect": "cloudevents"})


def test_binary_and_structured_are_one_event() -> None:
    binary = as_read(opened({"total": 1}))
    structured = as_read(opened(EVENT, ONE + "; charset=UTF-8", {}))
    assert binary.id == structured.id
    assert binary.properties == structured.properties == {"total": 1}


def test_a_header_is_unquoted_and_percent_decoded_once() -> None:
    headers = {**HEADERS, "ce-subject": "Euro%20%E2%82%AC%2525", "ce-tenant": '"a\\"b"'}
    context = as_read(opened({}, headers=headers)).context["cloudevents"]
    assert (context["subject"], context["tenant"]) == ("Euro \u20ac%25", 'a"b')


def test_bytes_that_are_no_text_are_for_the_worker_to_refuse() -> None:
    records = opened({}, headers={**HEADERS, "ce-subject": "%FF%00"})
    with pytest.raises(InvalidData) as refused:
        as_read(records)
    assert refused.value.reason == "malformed_payload"


@pytest.mark.parametrize("missing", sorted(HEADERS))
def test_binary_needs_its_four_headers(missing: str) -> None:
    with pytest.raises(InvalidData) as refused:
        opened({}, headers={name: v for name, v in HEADERS.items() if name != missing})
    assert refused.value.path == missing


@pytest.mark.parametrize("missing", ["specversion", "id", "source", "type"])
def test_structured_needs_its_four_attributes(missing: str) -> None:
    with pytest.raises(InvalidData) as refused:
        opened({name: value for name, value in EVENT.items() if name != missing}, ONE, {})
    assert refused.value.path == missing


def test_attributes_have_a_limit() -> None:
    with pytest.raises(TooLarge):
        opened({}, headers={**HEADERS, "ce-x": "x" * MAX_ATTRIBUTE_BYTES})


def test_a_batch_is_taken_apart_also_with_a_bad_event() -> None:
    assert opened([], MANY, {}).records == []
    texts = [orjson.dumps(EVENT), b'{"n":NaN}', b"7"]
    records = opened(b"[" + b",".join(texts) + b"]", MANY.upper(), {})
    assert [value for _, value in records.records] == texts
    assert dict(records.headers) == {"content-type": ONE.encode()}
    assert len(opened([EVENT] * MAX_EVENTS, MANY, {}).records) == MAX_EVENTS
    with pytest.raises(TooLarge):
        opened([EVENT] * (MAX_EVENTS + 1), MANY, {})


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (EVENT, MANY),
        (b"[1,2", MANY),
        ([EVENT], ONE),
        (b"", ONE),
        (EVENT, "application/cloudevents+avro"),
        ([EVENT], "application/cloudevents-batch+avro"),
    ],
)
def test_what_cannot_be_taken_apart(body: Any, content_type: str) -> None:
    with pytest.raises(InvalidData):
        opened(body, content_type, {})


def test_events_that_belong_together_share_a_key() -> None:
    def key(**attributes: Any) -> bytes:
        ((found, _),) = opened({**EVENT, **attributes}, ONE, {}).records
        return found

    assert key(partitionkey="p", subject="u") == b"p"
    assert key(subject="u", id="other") == b"u" == key(subject="u")
    assert key(subject="u" * 5000) != b"u" * 5000
    assert key() != key(id="other")
    ((named, _),) = opened({}, headers={**HEADERS, "ce-partitionkey": "p"}).records
    assert named == b"p"
