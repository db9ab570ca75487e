"""Records as they come from the broker, and spans of them whose every offset is accounted for."""

from dataclasses import dataclass
from typing import NamedTuple

from shared.contracts.dead_letter import Headers


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
