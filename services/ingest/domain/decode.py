"""Bytes to JSON, strictly: whatever could be read in two ways, or not be stored, is refused.

Refused are: what is no JSON (`NaN` and `Infinity` too), bytes that are no UTF-8, lone surrogates,
the character U+0000 (PostgreSQL cannot hold it), numbers that fit neither 64 bits nor a double,
the same key twice in one object, and nesting deeper than MAX_DEPTH. All of that is
`malformed_payload`, so that the same event gets the same verdict through every door.

Ordinary events pay for two C passes and a few byte counts; only a suspicious one is looked at
closely. This module must never let an event through that a later reader cannot read.
"""

import json
from collections.abc import Iterable
from typing import Any

import msgspec
import orjson

from shared.contracts.topics import EVENT_MAX_BYTES
from shared.errors import InvalidData

MAX_DEPTH = 32
MALFORMED = "malformed_payload"

_decoder = msgspec.json.Decoder()


def decode_json(value: bytes | None) -> Any:
    """The JSON value of an event: dicts, lists, str, int, float, bool or None.

    Raises InvalidData `empty`, `too_large` or `malformed_payload`.
    """
    value = sized(value)
    try:
        decoded = _decoder.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, ValueError) as error:
        raise InvalidData(MALFORMED, f"no JSON: {error}") from None
    except RecursionError:
        raise _too_deep() from None
    if value.count(b"{") + value.count(b"[") > MAX_DEPTH and deeper_than(decoded, MAX_DEPTH):
        raise _too_deep()
    escaped = b"\\" in value and b"\\u" in value
    if escaped and holds_nul(decoded):
        raise InvalidData(MALFORMED, "the character U+0000 cannot be stored")
    _refuse_repeated_keys(value, decoded, escaped=escaped)
    return decoded


def media_type(content_type: str) -> str:
    """`Application/JSON; charset=utf-8` as `application/json`."""
    return content_type.lower().partition(";")[0].strip()


def sized(value: bytes | None) -> bytes:
    """The bytes of an event. Raises InvalidData `empty` or `too_large`."""
    if not value:
        raise InvalidData("empty", "the record has no value")
    if len(value) > EVENT_MAX_BYTES:
        raise InvalidData("too_large", f"{len(value)} bytes; at most {EVENT_MAX_BYTES} are taken")
    return value


def _refuse_repeated_keys(value: bytes, decoded: Any, *, escaped: bool) -> None:
    """Writing the decoded value out again has as many colons, unless a key was lost on the way.

    Every key has one colon, and those in strings stay. Only an escape can hide a colon, so a text
    with escapes, or with another count, is read once more by a slower reader that sees all keys.
    """
    try:
        again = orjson.dumps(decoded)
    except TypeError as error:
        raise InvalidData(MALFORMED, f"a number is out of range: {error}") from None
    if escaped or again.count(b":") != value.count(b":"):
        json.loads(value, object_pairs_hook=_unique_keys)


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = _first_repeated(name for name, _ in pairs)
        raise InvalidData(MALFORMED, f"the key {twice[:100]!r} appears twice in one object")
    return found


def _first_repeated(names: Iterable[str]) -> str:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    raise ValueError("no name is repeated")


def _children(node: Any) -> list[Any]:
    if isinstance(node, dict):
        return list(node.values())
    return node if isinstance(node, list) else []


def deeper_than(decoded: Any, limit: int) -> bool:
    """Whether objects and lists stand in each other more than `limit` times."""
    level = [decoded]
    for _ in range(limit):
        level = [
            child for node in level for child in _children(node) if isinstance(child, dict | list)
        ]
        if not level:
            return False
    return True


def holds_nul(decoded: Any) -> bool:
    """Whether a text or a key in it has the character U+0000.

    The tree is at most MAX_DEPTH deep here, so the recursion is bounded.
    """
    if isinstance(decoded, str):
        return "\0" in decoded
    if isinstance(decoded, dict):
        return any("\0" in key or holds_nul(child) for key, child in decoded.items())
    return isinstance(decoded, list) and any(holds_nul(child) for child in decoded)


def _too_deep() -> InvalidData:
    return InvalidData(MALFORMED, f"nested deeper than {MAX_DEPTH} levels")
