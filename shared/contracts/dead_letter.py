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
    "unknown_error",
)
"""Closed set of reasons; metrics use it as a label."""

MAX_DETAIL = 500


def dead_letter_headers(
    *,
    topic: str,
    partition: int,
    offset: int,
    failure: Failure,
    group: str,
    stage: str,
    attempts: int,
    failed_at: str,
    original: Sequence[tuple[str, bytes]],
) -> Headers:
    """Headers of a dead letter; the original record's own headers follow unchanged."""
    detail = failure.detail[:MAX_DETAIL]
    return (
        ("__connect.errors.topic", topic.encode()),
        ("__connect.errors.partition", str(partition).encode()),
        ("__connect.errors.offset", str(offset).encode()),
        ("__connect.errors.connector.name", group.encode()),
        ("__connect.errors.stage", stage.encode()),
        ("__connect.errors.exception.class.name", failure.reason.encode()),
        ("__connect.errors.exception.message", detail.encode()),
        ("x-group", group.encode()),
        ("x-attempts", str(attempts).encode()),
        ("x-failed-at", failed_at.encode()),
        *((name, value) for name, value in original if not name.startswith("__connect.errors.")),
    )
