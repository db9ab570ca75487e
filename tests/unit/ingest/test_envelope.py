"""Requests taken apart without reading the events."""

import pytest

from services.ingest.domain.envelope import (
    MAX_BESIDE,
    MAX_EVENTS,
    MAX_REPEATED,
    hide_write_key,
    open_batch,
    open_single,
    partition_key,
    write_key,
)
from shared.errors import InvalidData, TooLarge


def test_events_keep_their_bytes() -> None:
    body = b'{ "batch" : [ {"a": 1,  "a": 2}, {"b":1e400} , "x" ], "writeKey":"k" }'
    assert open_batch(body).events == [b'{"a": 1,  "a": 2}', b'{"b":1e400}', b'"x"']


def test_what_stands_beside_the_list_is_kept() -> None:
    body = b'{"sentAt":"2026","batch":[],"context":{"ip":"x"},"timestamp":"no","writeKey":"k"}'
    assert open_batch(body) == ([], b'{"context":{"ip":"x"},"sentAt":"2026"}')
    assert open_batch(b'{"batch":[]}').beside is None


@pytest.mark.parametrize(
    "bad",
    [
        b'{"x":NaN}',
        b'{"x":"\\ud800"}',
        b"{" * 5000 + b"}" * 5000,
        b'{"x":"]}"oops}',
        b'{"x":tru}',
        b'"\\u00"',
    ],
)
def test_an_event_that_is_no_json_does_not_harm_its_neighbours(bad: bytes) -> None:
    body = b'{"batch":[{"n":1},' + bad + b',{"s":"a,]}\\"b","n":2}],"sentAt":"t"}'
    opened = open_batch(body)
    assert opened.events == [b'{"n":1}', bad, b'{"s":"a,]}\\"b","n":2}']
    assert opened.beside == b'{"sentAt":"t"}'


def test_both_ways_of_opening_agree() -> None:
    plain = b'{"sentAt":"t","batch":[{"n":1},{"t":"\xc3\xa9,\\\\"}, 5 ],"context":{"a":[1,2]}}'
    lenient = plain.replace(b" 5 ", b" 5 ,NaN")
    assert open_batch(lenient).events[:-1] == open_batch(plain).events
    assert open_batch(lenient).beside == open_batch(plain).beside


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"batch",
        b"[]",
        b"{}",
        b'{"batch":{}}',
        b'{"batch":"x"}',
        b'{"batch":[{"a":1}',
        b'{"batch":[NaN]} x',
        b'{"batch":[1],"batch":[2]}',
        b'{"batch":[NaN],batch:[]}',
        b"\x1f\x8b\x08",
    ],
)
def test_a_body_that_cannot_be_taken_apart(body: bytes) -> None:
    with pytest.raises(InvalidData) as refused:
        open_batch(body)
    assert refused.value.reason == "malformed_payload"


def test_a_single_call_is_an_object() -> None:
    assert open_single(b'{"event":"x"}').events == [b'{"event":"x"}']
    for body in (b"", b"[]", b'{"a":NaN}', b"{", b"\xff"):
        with pytest.raises(InvalidData):
            open_single(body)


def test_limits() -> None:
    many = b'{"batch":[' + b",".join([b"1"] * (MAX_EVENTS + 1)) + b"]}"
    with pytest.raises(TooLarge):
        open_batch(many)
    with pytest.raises(TooLarge):
        open_batch(b'{"batch":[],"context":{"a":"' + b"x" * MAX_BESIDE + b'"}}')


def test_what_stands_beside_the_list_may_be_repeated_only_so_often() -> None:
    beside = b'{"context":"' + b"x" * (MAX_BESIDE - 14) + b'"}'
    most = MAX_REPEATED // len(beside)
    assert len(beside) == MAX_BESIDE

    def batch(events: int) -> bytes:
        return beside[:-1] + b',"batch":[' + b",".join([b"1"] * events) + b"]}"

    assert open_batch(batch(most)) == ([b"1"] * most, beside)
    with pytest.raises(TooLarge, match="send fewer events"):
        open_batch(batch(most + 1))


def test_the_secret_is_found_and_hidden() -> None:
    body = b'{"batch":[{"writeKey" : "k\\"1","a":1}],"writeKey":"csk_1"}'
    assert write_key(b'{"batch":[],"writeKey":"csk_1"}') == "csk_1"
    assert write_key(b'{"batch":[]}') is None
    assert b"csk_1" not in hide_write_key(body)
    assert open_batch(body).events == [b'{"writeKey" : "***","a":1}']
    assert hide_write_key(b'{"note":"no \\"writeKey\\": here"}').endswith(b'here"}')


@pytest.mark.parametrize(
    ("event", "key"),
    [
        (b'{"userId":" u1 ","anonymousId":"a"}', b"user_id:u1"),
        (b'{"userId":7}', b"user_id:7"),
        (b'{"userId":null,"anonymousId":"a"}', b"anonymous_id:a"),
        (b'{"userId":"undefined","anonymousId":"a"}', b"anonymous_id:a"),
    ],
)
def test_events_of_one_person_share_a_key(event: bytes, key: bytes) -> None:
    assert partition_key(event) == key


@pytest.mark.parametrize("event", [b"", b"{", b"[]", b'{"userId":{}}', b'{"userId":"\\ud800"}'])
def test_an_event_of_nobody_has_a_key_too(event: bytes) -> None:
    assert len(partition_key(event)) == 8
