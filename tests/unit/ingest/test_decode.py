"""What is refused before any dialect looks at it, and what is not."""

import pytest

from services.ingest.domain.decode import MAX_DEPTH, decode_json
from shared.contracts.topics import EVENT_MAX_BYTES
from shared.errors import InvalidData


def nested(levels: int) -> bytes:
    return b'{"a":' * levels + b"1" + b"}" * levels


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "empty"),
        (b"", "empty"),
        (b"   ", "malformed_payload"),
        (b"{", "malformed_payload"),
        (b"no json", "malformed_payload"),
        (b'{"a":1} x', "malformed_payload"),
        (b'{"a":NaN}', "malformed_payload"),
        (b'{"a":-Infinity}', "malformed_payload"),
        (b'{"a":1e400}', "malformed_payload"),
        (b'{"a":123456789012345678901234}', "malformed_payload"),
        (b'{"a":' + b"1" * 5000 + b"}", "malformed_payload"),
        (b'{"a":"\\u0000"}', "malformed_payload"),
        (b'{"a\\u0000":1}', "malformed_payload"),
        (b'{"a":[["x\\u0000y"]]}', "malformed_payload"),
        (b'{"a":"\x00"}', "malformed_payload"),
        (b'{"a":"\\ud800"}', "malformed_payload"),
        (b'{"a":"\xff"}', "malformed_payload"),
        (b'{"\xff":1}', "malformed_payload"),
        (b"\xef\xbb\xbf{}", "malformed_payload"),
        (b'{"a":1,"a":2}', "malformed_payload"),
        (b'{"b":[{"a":1,"c":"10:00","a":2}]}', "malformed_payload"),
        (b'{"a":1,"\\u0061":2}', "malformed_payload"),
        (b'{"a":"x\\u003ay","b":1,"b":2}', "malformed_payload"),
        (nested(MAX_DEPTH + 1), "malformed_payload"),
        (nested(10_000), "malformed_payload"),
        (b"[" * 100_000, "malformed_payload"),
        (b'"' + b"x" * EVENT_MAX_BYTES + b'"', "too_large"),
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(value: bytes | None, reason: str) -> None:
    with pytest.raises(InvalidData) as refused:
        decode_json(value)
    assert refused.value.reason == reason


@pytest.mark.parametrize(
    ("value", "decoded"),
    [
        (b'{"a":"10:00:00","b":"\\":"}', {"a": "10:00:00", "b": '":'}),
        (b'{"a" : "x:y" , "b":{"a":1}}', {"a": "x:y", "b": {"a": 1}}),
        (b'{"a":"\\u003a\\u00e9"}', {"a": ":é"}),
        (b'{"a":"\\\\u0000"}', {"a": "\\u0000"}),
        (b'{"a":"\\ud83d\\ude00"}', {"a": "😀"}),
        (b'{"a":18446744073709551615}', {"a": 18446744073709551615}),
        (b'{"a":1e-400}', {"a": 0.0}),
        (b'{"a":[' + b"[]," * 100 + b"[]]}", {"a": [[]] * 101}),
    ],
)
def test_what_only_looks_dangerous_is_read(value: bytes, decoded: object) -> None:
    assert decode_json(value) == decoded


def test_the_depth_limit_itself_is_allowed() -> None:
    assert decode_json(nested(MAX_DEPTH)) is not None


def test_a_refusal_names_the_key_that_appears_twice() -> None:
    with pytest.raises(InvalidData, match="'a' appears twice"):
        decode_json(b'{"a":1,"a":2}')
