"""Conditions with a few alternatives as rows of their own, and which of them hold, each once."""

from shared.conditions.bitsets import bits
from shared.conditions.tree import All, Any, Condition

# A condition with more alternatives than this is one row, to be verified.
MAX_ALTERNATIVES = 8


def alternatives(condition: Condition) -> list[tuple[Condition, ...]] | None:
    """The condition as alternatives, each a conjunction of leaves; None when these are too many."""
    match condition:
        case All(parts):
            found: list[tuple[Condition, ...]] = [()]
            for part in parts:
                more = alternatives(part)
                if more is None or len(found) * len(more) > MAX_ALTERNATIVES:
                    return None
                found = [left + right for left in found for right in more]
            return found
        case Any(parts):
            found = []
            for part in parts:
                more = alternatives(part)
                if more is None or len(found) + len(more) > MAX_ALTERNATIVES:
                    return None
                found += more
            return found
        case _:
            return [(condition,)]


class Groups:
    """Runs of rows of which each is of one condition; the first row stands for all of them.

    To have in every first row whether any row of its run is set is a segmented scan: after the
    steps 1, 2, 4 a row has what stood in the next seven of its run (Hillis and Steele, Data
    Parallel Algorithms, 1986), for all runs at once.
    """

    def __init__(self, runs: list[range]) -> None:
        self._further = bits(row for run in runs for row in run[1:])
        longest = max(map(len, runs), default=1)
        self._steps: list[tuple[int, int]] = []
        step = 1
        while step < longest:
            self._steps.append((step, bits(row for run in runs for row in run[:-step])))
            step *= 2

    def first_of_each(self, alive: int) -> int:
        """The rows alive, with the first row of a run in place of whichever are alive of it."""
        further = self._further
        if not alive & further:
            return alive
        for step, reaching in self._steps:
            alive |= alive >> step & reaching
        return alive & ~further
