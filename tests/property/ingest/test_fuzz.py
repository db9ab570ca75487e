"""Whatever bytes come, the verdict is a touchpoint or a reason; nothing else is ever raised."""

import contextlib
import json
import re
import string
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from services.ingest.domain.decode import decode_json
from services.ingest.domain.dialect import read_touchpoints
from services.ingest.domain.envelope import MAX_EVENTS, hide_write_key, open_batch, partition_key
from services.ingest.domain.identifiers import normalise
from services.ingest.domain.normalise import normalise_time
from services.ingest.domain.source import Sources
from shared.contracts.dead_letter import REASONS
from shared.contracts.topics import EVENT_MAX_BYTES
from shared.contracts.touchpoint import RawPosition, touchpoint_decoder, touchpoint_encoder
from shared.errors import InvalidData, TooLarge

RAW = RawPosition("channel.web", 0, 0)
FIELDS = (
    *("id", "source", "type", "kind", "channel", "occurred_at", "identifiers", "traits"),
    *("properties", "context", "schema", "trace", "historical", "event", "userId"),
    *("anonymousId", "messageId", "timestamp", "sentAt", "groupId", "previousId", "externalIds"),
    *("collection", "address", "email", "phone", "value", "concert", "writeKey"),
    *("specversion", "data", "data_base64", "subject", "time"),
)
words = st.sampled_from((*FIELDS, "track", "identify", "user_id", "null", "1.0", "web"))
scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), words)
trees = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=6),
    max_leaves=25,
)
events = st.dictionaries(words, trees, max_size=12)
header_names = st.sampled_from(
    (
        *("x-concert-source", "x-concert-dialect", "x-concert-kind", "x-concert-received-at"),
        *("x-concert-batch", "x-concert-refused", "content-type", "traceparent"),
        *("ce_id", "ce_source", "ce_specversion", "ce_type", "ce_time", "ce_subject", "ce_x"),
    )
)
header_values = st.one_of(
    st.binary(max_size=20),
    st.sampled_from(
        (
            *(
                b"segment",
                b"native",
                b"cloudevents",
                b"webhook",
                b"1.0",
                b"track",
                b"application/json",
            ),
            *(b"application/cloudevents+json", b'{"context":{}}', b"2026-01-01T00:00:00Z"),
        )
    ),
)
headers = st.lists(st.tuples(header_names, header_values), max_size=8).map(tuple)


def verdict(value: bytes | None, given_headers: tuple[tuple[str, bytes], ...] = ()) -> str | None:
    """The reason of the refusal; None for a touchpoint, which then has to survive the wire."""
    try:
        reads = read_touchpoints(
            value,
            raw=RAW,
            timestamp=1_763_712_000_123,
            headers=given_headers,
            channel="web",
            sources=Sources({}, True),
        )
    except InvalidData as error:
        return REASONS[REASONS.index(error.reason)]
    assert not reads.failures, "only a webhook's list has items that fail alone"
    (touchpoint,) = reads.touchpoints
    encoded = touchpoint_encoder.encode(touchpoint)
    assert touchpoint_encoder.encode(touchpoint_decoder.decode(encoded)) == encoded
    assert b"\\u0000" not in encoded.replace(b"\\\\", b"")
    return None


@given(st.binary(max_size=400), headers)
@example(b"\x00" * 10, ())
def test_any_bytes_get_a_verdict(value: bytes, given_headers: Any) -> None:
    verdict(value, given_headers)


@settings(suppress_health_check=[HealthCheck.too_slow])
# Objects of many fields take a while to draw; on a machine with other work that says nothing.
@given(events, headers)
def test_any_object_gets_a_verdict(event: dict[str, Any], given_headers: Any) -> None:
    verdict(json.dumps(event).encode("utf-8", "surrogatepass"), given_headers)


@given(events)
def test_the_verdict_is_always_the_same(event: dict[str, Any]) -> None:
    value = json.dumps(event).encode()
    assert verdict(value) == verdict(value)


@given(st.dictionaries(st.text(max_size=5), trees, max_size=5), st.booleans())
def test_what_is_read_is_what_was_written(event: dict[str, Any], escape: bool) -> None:
    """Against the plain reader: the same value, unless something in it has to be refused."""
    text = json.dumps(event, ensure_ascii=escape)
    refused = re.search(r"NaN|Infinity|\\u0000|\\ud[89a-f]|[0-9]{19}", text) is not None
    try:
        value = text.encode()
    except UnicodeEncodeError:
        value, refused = text.encode("utf-8", "surrogatepass"), True
    try:
        decoded = decode_json(value)
    except InvalidData:
        assert refused
    else:
        assert decoded == json.loads(value)


@given(st.text(alphabet=string.ascii_letters + ':"\\{}[], 0', max_size=30), st.integers(0, 3))
def test_a_repeated_key_is_always_seen(text: str, depth: int) -> None:
    key = json.dumps(text)
    inner = f'{{"x":"::",{key}:1,"y":[":"],{key}:2}}'
    for _ in range(depth):
        inner = f'[{{"z":{inner}}}]'
    assert verdict(inner.encode()) == "malformed_payload"


@given(st.sampled_from(["email", "phone", "user_id", "profile_id"]), st.text(max_size=40))
def test_a_normalised_identifier_stays_as_it_is(type_: str, value: str) -> None:
    normalised, reason = normalise(type_, value, "FR")
    if reason is None:
        assert normalise(type_, normalised, "FR") == (normalised, None)
        assert normalise(type_, normalised, None) == (normalised, None)


@given(st.datetimes(timezones=st.timezones() | st.none()))
def test_normalised_times_stay_and_sort(instant: Any) -> None:
    try:
        normalised = normalise_time(instant.isoformat(), "t")
    except InvalidData:
        assert instant.year in (1, 9999)
        return
    assert len(normalised) == 24
    assert normalise_time(normalised, "t") == normalised


@given(st.lists(events, max_size=5), st.sampled_from([None, b"NaN", b"1e400", b'{"a":-}']))
def test_a_batch_is_taken_apart_whatever_one_event_is(batch: list[Any], bad: bytes | None) -> None:
    parts = [hide_write_key(json.dumps(event).encode()) for event in batch]
    if bad is not None:
        parts.append(bad)
    assert open_batch(b'{"batch":[' + b",".join(parts) + b'],"sentAt":"t"}').events == parts


@given(st.lists(events, max_size=3), st.sampled_from([b'{"a":', b'"x', b"]", b"}"]))
def test_a_batch_that_does_not_end_is_refused(batch: list[Any], bad: bytes) -> None:
    body = b",".join([*(json.dumps(event).encode() for event in batch), bad])
    with pytest.raises(InvalidData):
        open_batch(b'{"batch":[' + body + b'],"sentAt":"t"}')


@given(st.binary(max_size=300))
def test_any_body_is_taken_apart_or_refused(body: bytes) -> None:
    for wrapped in (body, b'{"batch":[' + body + b"]}", b'{"batch":' + body):
        try:
            opened = open_batch(wrapped)
        except (InvalidData, TooLarge):
            continue
        assert len(opened.events) <= MAX_EVENTS
        for event in opened.events:
            assert partition_key(event)


def test_hostile_bodies_take_no_longer_than_their_length() -> None:
    """Quotes, brackets and escapes without end: each is looked at once."""
    for unit in (b'"', b'\\"', b"[", b'{"', b'"writeKey"', b'"writeKey":"', b",", b'"a":'):
        body = b'{"batch":[' + unit * (1024 * 1024 // len(unit))
        with contextlib.suppress(InvalidData, TooLarge):
            open_batch(body)
        event = body[:EVENT_MAX_BYTES]
        assert verdict(event) == "malformed_payload"
        assert partition_key(event)
