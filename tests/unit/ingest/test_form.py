"""Form-encoded webhooks: the fields are an object, whatever is no form is refused."""

from typing import Any

import pytest

from services.ingest.domain.envelope import webhook_records
from services.ingest.domain.form import MAX_FIELDS, form_headers
from shared.errors import InvalidData
from tests.unit.ingest.reading import pairs
from tests.unit.ingest.test_webhook import reads

STATED = form_headers("application/x-www-form-urlencoded; charset=utf-8")
MAPPING: dict[str, Any] = {
    "type": "event",
    "id": "MessageSid",
    "occurred_at": {"path": "timestamp", "unit": "seconds"},
    "identifiers": [{"type": "phone", "value": "From"}],
}


def test_a_form_is_an_object_of_texts() -> None:
    body = b"event=SMS+Received&MessageSid=SM1&From=%2B33612345678&timestamp=1704164645.5&Body="
    ((_, value),) = webhook_records(body + b"&Tag=a&Tag=%C3%A9", "s", STATED).records
    (one,) = reads(value, MAPPING, STATED).touchpoints
    assert (one.type, one.message_id) == ("SMS Received", "SM1")
    assert one.occurred_at == "2024-01-02T03:04:05.500Z"
    assert pairs(one) == [("phone", "+33612345678")]
    assert (one.properties["Body"], one.properties["Tag"]) == ("", ["a", "\u00e9"])


def test_json_that_is_stated_to_be_a_form_is_json() -> None:
    body = b' {"event": "Seen", "MessageSid": 7}'
    ((_, value),) = webhook_records(body, "s", STATED).records
    assert reads(value, MAPPING, STATED).touchpoints[0].message_id == "7"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"no form", "bad query field"),
        (b"a=%ff", "utf-8"),
        (b"a=\xff", "utf-8"),
        (b"", "empty"),
        (b"&".join([b"a=1"] * (MAX_FIELDS + 1)), "1001 fields"),
    ],
)
def test_what_is_no_form_is_refused_at_the_door_and_later(body: bytes, words: str) -> None:
    with pytest.raises(InvalidData) as refused:
        webhook_records(body, "s", STATED)
    assert refused.value.reason == "malformed_payload"
    assert words in refused.value.detail
    with pytest.raises(InvalidData) as refused:
        reads(body, MAPPING, STATED)
    assert refused.value.reason == ("malformed_payload" if body else "empty")


def test_as_many_fields_as_are_allowed() -> None:
    body = b"event=Seen&MessageSid=1&" + b"&".join([b"n=1"] * (MAX_FIELDS - 2))
    (one,) = reads(body, MAPPING, STATED).touchpoints
    assert len(one.properties["n"]) == MAX_FIELDS - 2


@pytest.mark.parametrize(
    ("body", "reason"), [(b"a=%00", "malformed_payload"), (b"a=" + b"x" * 300_000, "too_large")]
)
def test_a_form_is_read_as_strictly_as_json(body: bytes, reason: str) -> None:
    webhook_records(body, "s", STATED)
    with pytest.raises(InvalidData) as refused:
        reads(body, MAPPING, STATED)
    assert refused.value.reason == reason


def test_no_other_content_type_makes_a_form() -> None:
    assert form_headers("application/json") == form_headers("") == ()
    with pytest.raises(InvalidData):
        webhook_records(b"a=1", "s", form_headers("text/plain"))
