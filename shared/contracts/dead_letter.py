"""Dead-letter headers: Kafka Connect's names, so that existing tools can read them, and ours.

The key and the value of a dead letter are the original bytes.
"""

from collections.abc import Sequence
from typing import NamedTuple

Headers = tuple[tuple[str, bytes], ...]


class Failure(NamedTuple):
    """Why a record was refused: `reason` from a closed set, `detail` for a person."""

    reason: str
    detail: str


REASONS = (
    "malformed_payload",
    "spec_violation",
    "schema",
    "too_large",
    "empty",
    "unknown_source",
    "wrong_channel",
    "too_old",
    "adapter",
    "unknown_error",
)
"""Closed set of reasons; metrics use it as a label."""

MAX_DETAIL = 500

TOPIC = "__connect.errors.topic"
PARTITION = "__connect.errors.partition"
OFFSET = "__connect.errors.offset"
CONNECTOR = "__connect.errors.connector.name"
STAGE = "__connect.errors.stage"
REASON = "__connect.errors.exception.class.name"
MESSAGE = "__connect.errors.exception.message"
GROUP = "x-group"
ATTEMPTS = "x-attempts"
FAILED_AT = "x-failed-at"
TIMESTAMP = "x-timestamp"
TRUNCATED = "x-truncated"
"""Stands first, and only when the beginning alone was kept: how many bytes there were."""
OWN = frozenset(
    (
        *(TOPIC, PARTITION, OFFSET, CONNECTOR, STAGE, REASON, MESSAGE),
        *(GROUP, ATTEMPTS, FAILED_AT, TIMESTAMP),
    )
)


class DeadLetter(NamedTuple):
    """What the headers of a dead letter say. Texts are as they were written, unchecked.

    `timestamp` is None in dead letters that do not tell it; `truncated` is the size in bytes of an
    original of which only the beginning is there; `original` are the record's own headers.
    """

    topic: str
    partition: int
    offset: int
    timestamp: int | None
    failure: Failure
    stage: str
    failed_at: str
    truncated: int | None
    original: Headers


def dead_letter_headers(
    *,
    topic: str,
    partition: int,
    offset: int,
    timestamp: int,
    failure: Failure,
    group: str,
    stage: str,
    attempts: int,
    failed_at: str,
    original: Sequence[tuple[str, bytes]],
) -> Headers:
    """Headers of a dead letter; the original record's own headers follow unchanged.

    `timestamp` is the original record's, in milliseconds since 1970.
    """
    detail = failure.detail[:MAX_DETAIL]
    return (
        (TOPIC, topic.encode()),
        (PARTITION, str(partition).encode()),
        (OFFSET, str(offset).encode()),
        (CONNECTOR, group.encode()),
        (STAGE, stage.encode()),
        (REASON, failure.reason.encode()),
        (MESSAGE, detail.encode()),
        (GROUP, group.encode()),
        (ATTEMPTS, str(attempts).encode()),
        (FAILED_AT, failed_at.encode()),
        (TIMESTAMP, str(timestamp).encode()),
        *((name, value) for name, value in original if not name.startswith("__connect.errors.")),
    )


def read_dead_letter(headers: Headers) -> DeadLetter | None:
    """The parts of a dead letter's headers; None when they are not of one.

    A name of ours that comes a second time belongs to the original record.
    """
    own: dict[str, str] = {}
    original: list[tuple[str, bytes]] = []
    for index, (name, value) in enumerate(headers):
        if name not in own and (name in OWN or (name == TRUNCATED and index == 0)):
            own[name] = (value or b"").decode("utf-8", "replace")
        else:
            original.append((name, value or b""))
    try:
        return DeadLetter(
            topic=own[TOPIC],
            partition=int(own[PARTITION]),
            offset=int(own[OFFSET]),
            timestamp=int(own[TIMESTAMP]) if TIMESTAMP in own else None,
            failure=Failure(own[REASON], own[MESSAGE]),
            stage=own[STAGE],
            failed_at=own[FAILED_AT],
            truncated=int(own[TRUNCATED]) if TRUNCATED in own else None,
            original=tuple(original),
        )
    except (KeyError, ValueError):
        return None
