"""Stops a partition whose records fail for unknown reasons one after the other.

A bad release must not empty a topic into its dead letters.
"""

from collections import deque

CONSECUTIVE = 5
WINDOW = 200
SHARE = 0.1


class Breaker:
    """Counts unknown failures among the records of one process."""

    def __init__(self) -> None:
        self._latest: deque[bool] = deque(maxlen=WINDOW)
        self._row = 0

    def passed(self, records: int) -> None:
        """These many records went well."""
        if records:
            self._row = 0
            self._latest.extend([False] * min(records, WINDOW))

    def failed(self) -> bool:
        """One record failed for good; True when the partition must stop."""
        self._row += 1
        self._latest.append(True)
        share = sum(self._latest) / WINDOW
        return self._row >= CONSECUTIVE or share >= SHARE
