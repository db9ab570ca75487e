"""What a handler gets and what it says about it: records in, `Handled` out."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from shared.contracts.dead_letter import Failure, Headers
from shared.postgres.outbox import OutboxBuffer


class Record(NamedTuple):
    """One record as the broker has it. `timestamp` is in milliseconds since 1970."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers


class Place(NamedTuple):
    """A partition of a topic."""

    topic: str
    partition: int

    def __str__(self) -> str:
        return f"{self.topic}-{self.partition}"


@dataclass(slots=True)
class Span:
    """Consecutive records of one partition: every offset in [start, end) is accounted for.

    Offsets in between that no record has (compaction, transaction markers) are gaps.
    """

    place: Place
    start: int
    end: int
    records: list[Record]

    @property
    def gaps(self) -> int:
        return self.end - self.start - len(self.records)


@dataclass(slots=True)
class Handled:
    """What a handler says about a batch; a record in neither list was applied."""

    messages: OutboxBuffer
    dead: list[tuple[Record, Failure]] = field(default_factory=list)
    deduped: Counter[Place] = field(default_factory=Counter)
    after_commit: list[Callable[[], None]] = field(default_factory=list)

    def dedup(self, record: Record) -> None:
        """This record was seen before and had no effect."""
        self.deduped[Place(record.topic, record.partition)] += 1

    def reject(self, record: Record, failure: Failure) -> None:
        """This record can never be applied."""
        self.dead.append((record, failure))
