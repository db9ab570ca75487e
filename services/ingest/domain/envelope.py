"""The body of a collector request as single events, each in the bytes its client sent.

The events are not read here: the worker does that, for HTTP and Kafka alike. So one bad event in a
batch cannot harm its neighbours; only a body that cannot be taken apart is refused as a whole.
Clients put their secret into the body (`writeKey`); it is read here and never leaves.
"""

import re
import zlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from services.ingest.domain.decode import MALFORMED
from services.ingest.domain.dialect import BATCH_HEADER, KIND_HEADER
from services.ingest.domain.form import is_form, read_form
from shared.contracts.dead_letter import Headers
from shared.contracts.identifiers import MAX_VALUE, names_nobody
from shared.errors import InvalidData, TooLarge

MAX_EVENTS = 2500
"""Most events in one request, as Segment allows."""
MAX_BESIDE = 16 * 1024
"""Most bytes beside the list of events; they are repeated with each event."""
MAX_REPEATED = 8 * 1024 * 1024
"""Most bytes that these repetitions may come to: a small body must not become a large one."""

_WRITE_KEY = re.compile(rb'("writeKey"\s*+:\s*+)"((?:[^"\\]++|\\.)*+)(?:"|\Z)', re.DOTALL)
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\Z)|[\[\]{},]', re.DOTALL)
_MEMBER = re.compile(rb'\s*+"((?:[^"\\]++|\\.)*+)"\s*+:(.*+)', re.DOTALL)
_BESIDE = ("context", "integrations", "sentAt")


class Envelope(NamedTuple):
    """`events` as they came; `beside` is JSON of what stood beside their list, if anything."""

    events: list[bytes]
    beside: bytes | None


class RawRecords(NamedTuple):
    """Records for the topic of a channel, as (key, value), and the headers that all of them get
    beside those that the request stated."""

    records: list[tuple[bytes, bytes]]
    headers: Headers = ()


class _Batch(msgspec.Struct):
    batch: list[msgspec.Raw]
    context: msgspec.Raw | None = None
    integrations: msgspec.Raw | None = None
    sentAt: msgspec.Raw | None = None  # noqa: N815 - the field's name on the wire


class _Who(msgspec.Struct):
    userId: Any = None  # noqa: N815 - the field's name on the wire
    anonymousId: Any = None  # noqa: N815 - the field's name on the wire


_batch_decoder = msgspec.json.Decoder(_Batch)
_list_decoder = msgspec.json.Decoder(list[msgspec.Raw])
_any_decoder = msgspec.json.Decoder()
_object_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
_who_decoder = msgspec.json.Decoder(_Who)
_READ_ERRORS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def open_single(body: bytes) -> Envelope:
    """A call that is one event. Raises InvalidData `malformed_payload` for no JSON object."""
    try:
        _object_decoder.decode(body)
    except _READ_ERRORS as error:
        raise InvalidData(MALFORMED, f"the body is no JSON object: {error}") from None
    return Envelope([hide_write_key(body)], None)


def open_batch(body: bytes) -> Envelope:
    """The events of `{"batch": [...], ...}`.

    Raises InvalidData `malformed_payload` when there is no such list, TooLarge beyond the limits.
    """
    if body.count(b'"batch"') == 1:
        try:
            parts = _batch_decoder.decode(body)
        except _READ_ERRORS:
            opened = _open_leniently(body)
        else:
            beside = {
                name: bytes(value)
                for name in _BESIDE
                if (value := getattr(parts, name)) is not None
            }
            opened = Envelope([bytes(event) for event in parts.batch], _json_object(beside))
    else:
        opened = _open_leniently(body)
    check_count(len(opened.events))
    beside_bytes = len(opened.beside or b"")
    if beside_bytes > MAX_BESIDE:
        raise TooLarge(f"more than {MAX_BESIDE} bytes beside the events")
    if len(opened.events) * beside_bytes > MAX_REPEATED:
        raise TooLarge(
            f"{beside_bytes} bytes beside {len(opened.events)} events come to more than"
            f" {MAX_REPEATED}; send fewer events, or their context with each"
        )
    return opened._replace(events=[hide_write_key(event) for event in opened.events])


def open_list(body: bytes) -> list[bytes]:
    """The elements of a JSON list, each in its own bytes, also if one of them is no JSON.

    Raises InvalidData `malformed_payload` for no list.
    """
    try:
        return [bytes(element) for element in _list_decoder.decode(body)]
    except _READ_ERRORS:
        return list(_elements(body.strip(), b"["))


def check_count(count: int) -> None:
    """Raises TooLarge for more events than one request may have."""
    if count > MAX_EVENTS:
        raise TooLarge(f"{count} events in one request; at most {MAX_EVENTS}")


def segment_records(body: bytes, kind: str | None) -> RawRecords:
    """The records of a Segment call, `kind` None for a batch. Raises as `open_batch`."""
    opened = open_batch(body) if kind is None else open_single(body)
    headers = () if opened.beside is None else ((BATCH_HEADER, opened.beside),)
    return RawRecords([(partition_key(event), event) for event in opened.events], headers)


def segment_headers(kind: str | None) -> Headers:
    """What the path of a Segment call says of its body, as headers of its record."""
    return () if kind is None else ((KIND_HEADER, kind.encode()),)


def webhook_records(body: bytes, source_id: str, stated: Headers) -> RawRecords:
    """The one record of a webhook call, in the bytes that came: the mapping is applied later.

    Calls of one source stay in order. Raises InvalidData `malformed_payload` for what is neither
    JSON nor, if `stated` says so, a form.
    """
    if is_form(body, dict(stated)):
        read_form(body)
    else:
        try:
            _any_decoder.decode(body)
        except _READ_ERRORS as error:
            raise InvalidData(MALFORMED, f"the body is no JSON: {error}") from None
    return RawRecords([(source_id.encode(), body)])


def write_key(body: bytes) -> str | None:
    """The key a client put into its body, for clients that cannot send a header."""
    found = _WRITE_KEY.search(body)
    return None if found is None else found[2].decode("utf-8", "replace")


def hide_write_key(content: bytes) -> bytes:
    """The same bytes without the secret."""
    return _WRITE_KEY.sub(rb'\1"***"', content) if b"writeKey" in content else content


def partition_key(event: bytes) -> bytes:
    """Events of one person get one key, so that they stay in order: the strongest id they name."""
    try:
        who = _who_decoder.decode(event)
    except _READ_ERRORS:
        return hashed_key(event)
    for type_, value in (("user_id", who.userId), ("anonymous_id", who.anonymousId)):
        named = str(value).strip() if isinstance(value, str | int) else ""
        if len(named) <= MAX_VALUE and not names_nobody(named):
            return f"{type_}:{named}".encode()
    return hashed_key(event)


def hashed_key(content: bytes) -> bytes:
    """The key of an event that names nobody: equal ones meet."""
    return b"%08x" % zlib.crc32(content)


def _open_leniently(body: bytes) -> Envelope:
    """For a body whose events are not all JSON: follows quotes and brackets, nothing else."""
    members: dict[bytes, bytes] = {}
    for part in _elements(body.strip(), b"{"):
        found = _MEMBER.fullmatch(part)
        if found is None or found[1] in members:
            raise InvalidData(MALFORMED, "the body is no JSON object")
        members[found[1]] = found[2].strip()
    if b"batch" not in members:
        raise InvalidData(MALFORMED, "the body has no list `batch`")
    beside = {name: members[name.encode()] for name in _BESIDE if name.encode() in members}
    return Envelope(list(_elements(members[b"batch"], b"[")), _json_object(beside))


def _elements(text: bytes, opening: bytes) -> Iterator[bytes]:
    """What stands between the commas of an object or list, which `text` has to be exactly.

    Linear in the length of the text, whatever is in it.
    """
    if text[:1] != opening:
        raise InvalidData(MALFORMED, f"`{opening.decode()}` was expected")
    depth, begin = 0, 1
    for token in _TOKEN.finditer(text):
        mark = token[0]
        if mark in (b"[", b"{"):
            depth += 1
        elif mark in (b"]", b"}"):
            depth -= 1
            if depth == 0:
                if token.end() != len(text):
                    raise InvalidData(MALFORMED, "there is more behind the end")
                last = text[begin : token.start()].strip()
                if last or begin > 1:
                    yield last
                return
        elif mark == b"," and depth == 1:
            yield text[begin : token.start()].strip()
            begin = token.end()
    raise InvalidData(MALFORMED, "the body is cut off")


def _json_object(members: dict[str, bytes]) -> bytes | None:
    if not members:
        return None
    return b"{" + b",".join(b'"%b":%b' % (n.encode(), v) for n, v in members.items()) + b"}"
