"""How much of each partition a poll takes, so that a crowded one does not hold up the calm ones.

A process reads several partitions in one loop, and what a poll returns is one transaction. Where
one of them is crowded (a storm of merges into one person) and others are calm, a poll takes all
that the calm ones have and a slice of the backlog. The slice is a transaction of its own, in
services with state beside those of the calm partitions, and as large as can be applied in a short
time. Where most are crowded, or nobody else is there, whole batches are cheaper.
"""

from collections.abc import Mapping, Sequence

from shared.kafka.records import Place, Span

CROWDED_RECORDS = 500
"""A partition with more records waiting than this has a backlog, until a slice is all of it."""
FIRST_RECORDS = 50
"""So many are taken of each partition where none has a backlog: one may be about to begin."""
LEAST_RECORDS = 20
"""A slice has no fewer: every one has to load and store the profiles it is about, and slices that
are mostly that take the time of everybody."""
SLICE_SECONDS = 0.05
"""A slice should take so long."""
LATELY_SECONDS = 10.0
"""Nobody has to wait for a partition that had no record for so long."""
REMEMBERED_SECONDS = 2.0
"""A backlog is thought to go on for so long after its end: the broker tells how much waits only
with the records it sends."""
NEVER = float("-inf")


class Slices:
    """Remembers how long slices took. Times are seconds of a monotonic clock."""

    def __init__(self, max_records: int) -> None:
        self._max_records = max_records
        self._first = min(FIRST_RECORDS, max_records)
        self._slice = self._first
        self.crowded: frozenset[Place] = frozenset()
        """The partitions that are read in slices now."""
        self._sliced_at = NEVER
        self._lively_at: dict[Place, float] = {}

    def quota(self, waiting: Mapping[Place, int], now: float) -> int:
        """How many records the next poll may take of each partition, of those with so many records
        known to wait."""
        crowded = {
            place
            for place, count in waiting.items()
            if count > (self._slice if place in self.crowded else CROWDED_RECORDS)
        }
        lively = sum(
            now - self._lively_at.get(place, NEVER) <= LATELY_SECONDS
            for place in waiting.keys() - crowded
        )
        slicing = 0 < len(crowded) <= lively
        if slicing:
            self._sliced_at = now
        elif now - self._sliced_at > REMEMBERED_SECONDS:
            self._slice = self._first
        self.crowded = frozenset(crowded) if slicing else frozenset()
        if crowded and not slicing:
            return self._max_records
        return max(self._slice // max(len(self.crowded), 1), 1)

    def turns(self, spans: Sequence[Span], now: float) -> list[list[Span]]:
        """What was polled, in the parts to apply one after the other: calm partitions first."""
        self._lively_at |= {span.place: now for span in spans if span.records}
        calm = [span for span in spans if span.place not in self.crowded]
        crowded = [span for span in spans if span.place in self.crowded]
        return [turn for turn in (calm, crowded) if turn]

    def took(self, turn: Sequence[Span], seconds: float) -> None:
        """Learn from a turn that was applied: a slice grows or shrinks by twice at most."""
        count = sum(len(span.records) for span in turn)
        if turn[0].place not in self.crowded or 2 * count < self._slice:
            return
        factor = SLICE_SECONDS / seconds if seconds > 0 else 2.0
        wanted = round(self._slice * min(max(factor, 0.5), 2.0))
        self._slice = min(max(wanted, LEAST_RECORDS), self._max_records)
