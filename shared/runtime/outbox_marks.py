"""Below which id nothing is left in the outbox, so that the relay does not walk over what is gone.

Deleted rows stay in the table until they are cleaned up, which an open snapshot of anybody prevents
for hours. An id that was seen is no mark: rows become visible out of order of their ids. It is one
as soon as every transaction has ended that ran when it had been seen: each has its transaction id
before it takes ids of rows (`outbox.append`), so whoever begins later takes greater ones.
"""

from collections.abc import Collection, Sequence

from shared import clock
from shared.postgres.outbox import Found, Frame

FULL_SECONDS = 30.0
"""Now and then a relay looks at everything: no row may wait for ever for a fault of the mark."""


class OutboxMarks:
    """The marks of one relay, by shard; in its memory only."""

    def __init__(self) -> None:
        self._marks: dict[int, int] = {}
        self._seen = 0
        self._waiting: tuple[int, int] | None = None
        """An id, and the transaction id below which all have to end until it is a mark."""
        self._settled = 0
        self._full_at = float("-inf")

    def above(self, shards: Collection[int]) -> dict[int, int]:
        """By shard, the id above which to look; 0 is below all."""
        now = clock.monotonic_seconds()
        if now - self._full_at >= FULL_SECONDS:
            self._full_at = now
            return dict.fromkeys(shards, 0)
        return {shard: self._marks.get(shard, 0) for shard in shards}

    def found(self, found: Found) -> None:
        """Learn from what a look saw, before anything of it is published."""
        if self._waiting and found.all_ended_below >= self._waiting[1]:
            self._settled, self._waiting = self._waiting[0], None
        if not self._waiting and self._seen > self._settled:
            self._waiting = (self._seen, found.none_begun_from)
        self._seen = max([self._seen, *(frame.id for frame in found.frames)])

    def gone(self, shards: Collection[int], frames: Sequence[Frame], limit: int) -> None:
        """What was found of these shards is deleted by now; a look takes `limit` rows of each."""
        for shard in shards:
            ids = [frame.id for frame in frames if frame.shard == shard]
            mark = self._settled if len(ids) < limit else min(self._settled, ids[-1])
            self._marks[shard] = max(mark, self._marks.get(shard, 0))
