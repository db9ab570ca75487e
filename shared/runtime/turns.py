"""Who is read next: partitions with little to do go before those with a backlog.

A process reads several partitions in one loop. If one of them is crowded (a storm of merges, a
file, a source that comes back) and others are calm, the calm ones take turns with it: each time
whatever they have, and then a slice of the backlog that takes about as long as their turn did. So
a record of a calm partition waits for one such slice, however long the backlog and however dear
its records are. Where most are crowded, or nobody else is there, whole batches are cheaper.
"""

from collections.abc import Mapping, Set
from typing import NamedTuple

from shared.kafka.records import Place

CROWDED = 200
"""A partition with more records waiting than this has a backlog, until a slice is all of it."""
FIRST_RECORDS = 100
"""So many are taken when nothing was known to wait: it may be the beginning of a storm."""
LEAST_RECORDS = 40
LEAST_SECONDS, MOST_SECONDS = 0.02, 0.25
"""What a slice of a backlog may take, at the least and at most."""
LATELY_SECONDS = 2.0
"""After so long without a record of a calm partition a backlog has the process for itself. Who was
crowded so lately is not calm: the broker tells how much waits only with the records it sends."""
NEVER = float("-inf")
WAIT_MS, SLICE_WAIT_MS = 200, 10
"""How long to wait for records: where there is nothing else to do, and where there is."""


class Turn(NamedTuple):
    """Which partitions to read now, how many records at most, and how long to wait for one.

    `backlog`: they are crowded, and calm ones wait for them.
    """

    places: list[Place]
    max_records: int
    wait_ms: int
    backlog: bool = False


class Turns:
    """Remembers how long turns took. Times are seconds of a monotonic clock."""

    def __init__(self, max_records: int) -> None:
        self._max_records = max_records
        self._slice = min(FIRST_RECORDS, max_records)
        self._calm_seconds = LEAST_SECONDS
        self._calm_at = NEVER
        self._crowded: set[Place] = set()
        self._crowded_at: dict[Place, float] = {}
        self._idle = True

    def plan(
        self, waiting: Mapping[Place, int], now: float, *, busy: Set[Place] = frozenset()
    ) -> list[Turn]:
        """The next turns, for partitions with so many records known to wait; what is `busy` has
        one just now."""
        if busy:
            calm = [place for place in waiting if place not in self._crowded | busy]
            return [Turn(calm, self._max_records, SLICE_WAIT_MS)] if calm else []
        idle, self._idle = self._idle, True
        everyone = list(waiting)
        self._crowded = {
            place
            for place, count in waiting.items()
            if count > (self._slice if place in self._crowded else CROWDED)
        }
        self._crowded_at |= dict.fromkeys(self._crowded, now)
        lately = sum(not self._is_calm(one, now) for one in everyone)
        alone = now - self._calm_at > LATELY_SECONDS
        if not self._crowded or 2 * lately > len(everyone) or alone:
            most = self._max_records
            if idle and not any(waiting.values()):
                most = min(FIRST_RECORDS, most)
            return [Turn(everyone, most, WAIT_MS)]
        return [
            Turn([one for one in everyone if one not in self._crowded], self._max_records, 0),
            Turn(
                [one for one in everyone if one in self._crowded],
                self._slice,
                SLICE_WAIT_MS,
                backlog=True,
            ),
        ]

    def took(self, turn: Turn, records: Mapping[Place, int], seconds: float, now: float) -> None:
        """Learn from a turn that is done: how many records of each partition, in what time."""
        self._idle = False
        count = sum(records.values())
        if turn.backlog:
            if 2 * count >= turn.max_records:
                target = min(max(self._calm_seconds, LEAST_SECONDS), MOST_SECONDS)
                factor = min(max(target / seconds, 0.5), 2.0) if seconds > 0 else 2.0
                self._slice = max(round(turn.max_records * factor), LEAST_RECORDS)
                self._slice = min(self._slice, self._max_records)
            return
        if any(0 < found <= CROWDED and self._is_calm(one, now) for one, found in records.items()):
            self._calm_at = now
            if max(records.values()) <= CROWDED:
                self._calm_seconds = seconds

    def _is_calm(self, place: Place, now: float) -> bool:
        """Whether it has not been crowded for a while: the end of a backlog is no calm record."""
        return now - self._crowded_at.get(place, NEVER) > LATELY_SECONDS
