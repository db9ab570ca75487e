"""From where a poller looks for what is due: not from the beginning, where all was done already.

What was done stays in the index until it is cleaned up, which an open snapshot of anybody prevents
for hours; walking over it made each round slower than the one before. What is set for an
instant before the mark is rare (a long transaction, a clock that was put back): a full look now and
then finds it.
"""

from collections.abc import Collection
from datetime import datetime, timedelta

from services.orchestrator.storage.timers import Due, Fired
from shared import clock

MARGIN = timedelta(seconds=5)
FULL_SECONDS = 30.0


class LowWater:
    """The mark of one poller, in its memory only."""

    def __init__(self) -> None:
        self._mark: datetime | None = None
        self._full_at = float("-inf")

    @property
    def mark(self) -> datetime | None:
        """Nothing that was due before this is left, as far as is known; None: nothing is."""
        return self._mark

    def since(self) -> datetime | None:
        """From when on the next round looks; None: it looks at all."""
        now = clock.monotonic_seconds()
        if now - self._full_at < FULL_SECONDS:
            return self._mark
        self._full_at = now
        return None

    def passed(self, due: Collection[Due], fired: Collection[Fired]) -> None:
        """These were due, the oldest first of all, and those of them have fired by now."""
        gone = {timer.id for timer in fired}
        left = [timer.due_at for timer in due if timer.id not in gone]
        self.reached(min(left or [max(timer.due_at for timer in due)]))

    def reached(self, at: datetime) -> None:
        """All that was due before this is done."""
        self._mark = at - MARGIN
