"""A failed event: what is known of a record that could not be read, from its dead letter."""

import hashlib
import re
from datetime import UTC, datetime, timedelta
from typing import Literal
from uuid import UUID

import msgspec

from services.ingest.domain.dialect import CUT_HEADER, SOURCE_HEADER, received_at
from services.ingest.domain.fingerprint import fingerprint
from services.ingest.domain.glimpse import glimpse
from services.ingest.domain.replayed import FAILED_EVENT_HEADER, REPLAY_HEADER
from shared.contracts.dead_letter import DeadLetter, Failure, Headers
from shared.errors import InvalidData
from shared.ids import SEPARATOR, time_ordered_id_from

TOO_LARGE = "too_large"
KEPT_OF_TOO_LARGE = 1024
"""Bytes kept of an event that was too large to be read: enough to see what it is."""
Status = Literal["new", "replayed", "discarded"]
"""`replayed`: put back on its topic, and not failed again since."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_MS = 253_402_300_799_999
"""The end of the year 9999."""
_PATH = re.compile(r"(?P<path>[\w.\[\]-]{1,200}): (?P<message>.+)", re.DOTALL)
_SIZE = re.compile(rb"[0-9]{1,15}")
_PATHLESS = frozenset(("malformed_payload", "unknown_error"))


class Copy(msgspec.Struct, frozen=True):
    """A record says by its headers that it is a replay of a failed event."""

    failed_event: UUID
    replay: UUID


class FailedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One record that could not be read. `topic`, `part` and `position` are the raw record's.

    `event_id` is the publisher's. `raw` are its bytes, of which only the beginning is there unless
    `whole`; `sha256` is of what the dead letter held, `size` too unless it states that there was
    more. `copy` is set for a replay that failed.
    """

    id: UUID
    topic: str
    part: int
    position: int
    channel: str
    source: str | None
    event_id: str | None
    event_type: str | None
    received_at: datetime
    failed_at: datetime
    stage: str
    reason: str
    message: str
    path: str | None
    fingerprint: str
    key: bytes | None
    raw: bytes | None
    size: int
    sha256: bytes
    whole: bool
    headers: Headers
    copy: Copy | None


def failed_event(
    letter: DeadLetter, channel: str, *, key: bytes | None, value: bytes | None, timestamp: int
) -> FailedEvent:
    """The failed event of a dead letter; the same bytes always give the same.

    `timestamp`, in milliseconds, stands for the original's where the letter does not tell it.
    """
    known = {name.lower(): content for name, content in letter.original}
    stamped = letter.timestamp if letter.timestamp is not None else timestamp
    stamped = min(max(stamped, 0), _LAST_MS)
    path, message = _path(letter.failure)
    seen = glimpse(value, letter.original, channel)
    sizes = [size for size in (letter.truncated, _stated_size(known)) if size is not None]
    cut = bool(sizes) or letter.failure.reason == TOO_LARGE
    position = SEPARATOR.join((letter.topic, str(letter.partition), str(letter.offset)))
    return FailedEvent(
        id=time_ordered_id_from(stamped, position),
        topic=_text(letter.topic),
        part=letter.partition,
        position=letter.offset,
        channel=channel,
        source=seen.source,
        event_id=seen.event_id,
        event_type=seen.type,
        received_at=_received_at(known, stamped),
        failed_at=_failed_at(letter.failed_at, timestamp),
        stage=_text(letter.stage),
        reason=_text(letter.failure.reason),
        message=message,
        path=path,
        fingerprint=fingerprint(letter.failure.reason, path, message, seen.source, seen.type),
        key=key,
        raw=value[:KEPT_OF_TOO_LARGE] if cut and value is not None else value,
        size=max(*sizes, len(value or b""), 0),
        sha256=hashlib.sha256(value or b"").digest(),
        whole=not cut,
        headers=letter.original,
        copy=copy_of(letter.original),
    )


def copy_of(headers: Headers) -> Copy | None:
    """What a record says about being a replay; None when it does not, or not readably."""
    if not headers:
        return None
    known = dict(headers)
    try:
        return Copy(
            UUID(known[FAILED_EVENT_HEADER].decode("ascii")),
            UUID(known[REPLAY_HEADER].decode("ascii")),
        )
    except (KeyError, ValueError):
        return None


def milliseconds(instant: datetime) -> int:
    """Since 1970, as Kafka counts."""
    return (instant - _EPOCH) // timedelta(milliseconds=1)


def _instant(stamped: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=stamped)


def _received_at(known: dict[str, bytes], stamped: int) -> datetime:
    """As the worker takes it for an event that it can read."""
    try:
        text = received_at(known, stamped, from_collector=SOURCE_HEADER in known)
    except InvalidData:
        return _instant(stamped)
    return datetime.fromisoformat(text)


def _failed_at(stated: str, timestamp: int) -> datetime:
    try:
        return datetime.fromisoformat(stated).astimezone(UTC)
    except (ValueError, OverflowError):
        return _instant(min(max(timestamp, 0), _LAST_MS))


def _path(failure: Failure) -> tuple[str | None, str]:
    """The place and the sentence of a detail written `place: sentence`."""
    found = None if failure.reason in _PATHLESS else _PATH.fullmatch(failure.detail)
    if found is None:
        return None, _text(failure.detail)
    return found["path"], _text(found["message"])


def _stated_size(known: dict[str, bytes]) -> int | None:
    """How many bytes there were, where the collector kept only the beginning."""
    stated = known.get(CUT_HEADER)
    return int(stated) if stated is not None and _SIZE.fullmatch(stated) else None


def _text(value: str) -> str:
    """What PostgreSQL can store: no U+0000, no lone surrogate."""
    return value.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
