"""How much of each partition a poll takes, so that a crowded one does not hold up the calm ones.

A process reads several partitions in one loop, and what a poll returns is one transaction. Where
one of them is crowded (a storm of merges into one person) and others are calm, a poll takes all
that the calm ones have and a slice of the backlog. The slice is a transaction of its own, in
services with state beside those of the calm partitions, and as large as can be applied in a short
time. Where most are crowded, or nobody else is there, whole batches are cheaper.
"""

from collections.abc import Collection, Mapping, Sequence

from shared.kafka.records import Place, Span

CROWDED_RECORDS = 500
"""A partition with more records waiting than this has a backlog, until a slice is all of it."""
TIMES_USUAL = 10
"""And so many times more than the median partition: when all have much to do, none is special."""
FIRST_RECORDS = 50
"""A first slice has so many. Of a partition without a backlog no more are taken either, or than its
part of a batch: a storm may be about to begin."""
LEAST_RECORDS = 10
"""A slice has no fewer: every one has to load and store the profiles it is about, and slices that
are mostly that take the time of everybody."""
SLICE_SECONDS = 0.02
"""A slice of costly records should take so long."""
EASY_SECONDS = 0.05
"""And one of other records: where some partitions only happen to be behind, small slices would keep
them there."""
COSTLY_SECONDS = 0.0006
"""Records that take longer are costly, such as merges with much to move."""
TURN_SECONDS = 0.01
"""What a turn takes whatever is in it."""
LATELY_SECONDS = 10.0
"""Nobody has to wait for a partition that had no record for so long, or only the end of a backlog:
that is one poll's, and the next one has none."""
REMEMBERED_SECONDS = 2.0
"""A storm is thought to go on for so long after its end: the broker tells how much waits only with
the records it sends."""
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
        self._costly_at = NEVER
        self._behind: frozenset[Place] = frozenset()
        self._lively_at: dict[Place, float] = {}
        self._calm_at: dict[Place, float] = {}

    def quota(self, waiting: Mapping[Place, int], now: float) -> int:
        """How many records the next poll may take of each partition, of those with so many records
        known to wait."""
        usual = TIMES_USUAL * sorted(waiting.values())[(len(waiting) - 1) // 2] if waiting else 0
        crowded = {
            place
            for place, count in waiting.items()
            if count > max(usual, self._slice if place in self.crowded else CROWDED_RECORDS)
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
        self._behind = frozenset(one for one, count in waiting.items() if count > self._first)
        if slicing:
            return max(self._slice // len(self.crowded), 1)
        if crowded or 2 * len(self._behind) > len(waiting):
            return self._max_records
        return max(self._first, self._max_records // max(len(waiting), 1))

    def turns(self, spans: Sequence[Span], now: float) -> list[list[Span]]:
        """What was polled, in the parts to apply one after the other: calm partitions first."""
        calm = [span for span in spans if span.place not in self.crowded]
        self._note_lively({span.place for span in calm if span.records} - self._behind, now)
        crowded = [span for span in spans if span.place in self.crowded]
        return [turn for turn in (calm, crowded) if turn]

    def _note_lively(self, places: Collection[Place], now: float) -> None:
        for place in places:
            if now - self._calm_at.get(place, NEVER) <= LATELY_SECONDS:
                self._lively_at[place] = now
            self._calm_at[place] = now

    def took(self, turn: Sequence[Span], began: float, now: float) -> None:
        """Learn from a turn that was applied: a slice grows or shrinks by twice at most."""
        count, seconds = sum(len(span.records) for span in turn), now - began
        if seconds - TURN_SECONDS > count * COSTLY_SECONDS:
            self._costly_at = now
        if turn[0].place not in self.crowded or 2 * count < self._slice:
            return
        costly = now - self._costly_at <= REMEMBERED_SECONDS
        wished = SLICE_SECONDS if costly else EASY_SECONDS
        factor = wished / seconds if seconds > 0 else 2.0
        wanted = round(self._slice * min(max(factor, 0.5), 2.0))
        self._slice = min(max(wanted, LEAST_RECORDS), self._max_records)
