"""What is known of a failed event, from nothing but its dead letter."""

import hashlib
import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from services.ingest.domain.failed_event import Copy, FailedEvent, copy_of, failed_event
from shared.contracts.dead_letter import Failure, Headers, dead_letter_headers, read_dead_letter
from tests.unit.ingest.reading import RECEIVED_AT, TIMESTAMP

FAILED_AT = "2025-11-21T08:00:01.000Z"


def letter_headers(reason: str, detail: str, original: Headers = ()) -> Headers:
    """As the ingest worker writes them."""
    return dead_letter_headers(
        topic="channel.web",
        partition=3,
        offset=42,
        timestamp=TIMESTAMP,
        failure=Failure(reason, detail),
        group="concert-ingest-worker",
        stage="handle",
        attempts=1,
        failed_at=FAILED_AT,
        original=original,
    )


def failed(
    value: Any = b"{}",
    reason: str = "spec_violation",
    detail: str = "type: is required",
    original: Headers = (),
    truncated: int | None = None,
) -> FailedEvent:
    headers = letter_headers(reason, detail, original)
    if truncated is not None:
        headers = (("x-truncated", str(truncated).encode()), *headers)
    letter = read_dead_letter(headers)
    assert letter is not None
    content = value if isinstance(value, bytes) or value is None else json.dumps(value).encode()
    return failed_event(letter, "web", key=b"k", value=content, timestamp=TIMESTAMP + 900)


def test_the_parts_of_a_dead_letter() -> None:
    found = failed(original=(("x-attempts", b"mine"), ("traceparent", b"00")))
    assert (found.topic, found.part, found.position) == ("channel.web", 3, 42)
    assert found.headers == (("x-attempts", b"mine"), ("traceparent", b"00"))
    assert (found.reason, found.path, found.message) == ("spec_violation", "type", "is required")
    assert found.received_at == datetime.fromisoformat(RECEIVED_AT)
    assert found.failed_at == datetime(2025, 11, 21, 8, 0, 1, tzinfo=UTC)
    assert (found.key, found.raw, found.whole, found.copy) == (b"k", b"{}", True, None)


def test_it_is_the_same_whenever_it_is_read() -> None:
    assert failed() == failed()
    assert failed().id.version == 7


@pytest.mark.parametrize(
    ("reason", "detail", "path"),
    [
        ("spec_violation", "identifiers[0].value: is required", "identifiers[0].value"),
        ("spec_violation", "something is odd", None),
        ("unknown_error", "KeyError: 'x'", None),
        ("malformed_payload", "JSON: unexpected end", None),
    ],
)
def test_the_path_is_told_from_the_sentence(reason: str, detail: str, path: str | None) -> None:
    found = failed(reason=reason, detail=detail)
    assert found.path == path
    assert found.message == (detail if path is None else "is required")


@pytest.mark.parametrize(
    ("value", "original", "expected"),
    [
        ({"source": "shop", "type": "Seen"}, (), ("shop", "Seen")),
        ({"type": "track", "event": "Seen", "userId": 1}, (), ("web", "Seen")),
        ({"type": "identify"}, (("x-concert-source", b"s"),), ("s", "identify")),
        (None, (("ce_source", b"/ivr"), ("ce_type", b"call")), ("/ivr", "call")),
        (b"no json", (), (None, None)),
        (b"no json", (("x-concert-source", b"s"),), ("s", None)),
        ({"source": 7, "type": []}, (), (None, None)),
        ({"source": "a\x00b", "type": "x" * 999}, (), (None, None)),
    ],
)
def test_where_it_came_from_as_far_as_known(
    value: Any, original: Headers, expected: tuple[str | None, str | None]
) -> None:
    found = failed(value, original=original)
    assert (found.source, found.event_type) == expected


def test_of_what_is_too_large_only_the_beginning_stays() -> None:
    content = b"x" * 300_000
    found = failed(content, reason="too_large", detail="300000 bytes")
    assert (found.size, found.whole, found.raw) == (300_000, False, b"x" * 1024)
    assert found.sha256 == hashlib.sha256(content).digest()
    cut = failed(b"y" * 5000, truncated=4_000_000)
    assert (cut.size, cut.whole, len(cut.raw or b"")) == (4_000_000, False, 1024)
    by_the_door = failed(
        b"y" * 5000, reason="malformed_payload", original=(("x-concert-cut", b"3000000"),)
    )
    assert (by_the_door.size, by_the_door.whole) == (3_000_000, False)
    assert failed(original=(("x-concert-cut", b"9" * 30),)).whole, "no size"


def test_received_at_is_what_the_worker_would_take() -> None:
    said = "2025-11-21T07:59:59.000Z"
    source = ("x-concert-source", b"s")
    stated = ("x-concert-received-at", said.encode())
    assert failed(original=(source, stated)).received_at == datetime.fromisoformat(said)
    taken = datetime.fromisoformat(RECEIVED_AT)
    assert failed(original=(stated,)).received_at == taken
    old = ("x-concert-received-at", b"2020-01-01T00:00:00.000Z")
    assert failed(original=(source, old)).received_at == taken
    broken = ("x-concert-received-at", b"soon")
    assert failed(original=(source, broken)).received_at == taken


def test_a_copy_says_of_what() -> None:
    one, replay = UUID(int=1), UUID(int=2)
    headers = (
        ("concert-failed-event", str(one).encode()),
        ("concert-replay", str(replay).encode()),
    )
    assert copy_of(headers) == Copy(one, replay)
    assert failed(original=headers).copy == Copy(one, replay)
    assert copy_of(headers[:1]) is None
    assert copy_of((headers[0], ("concert-replay", b"\xff"))) is None
    assert copy_of(()) is None


def test_what_is_no_dead_letter_is_told() -> None:
    assert read_dead_letter(()) is None
    assert read_dead_letter((("__connect.errors.topic", b"t"),)) is None
    bad = tuple(
        (name, b"x" if name.endswith("offset") else value)
        for name, value in letter_headers("empty", "nothing")
    )
    assert read_dead_letter(bad) is None
