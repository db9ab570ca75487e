"""When a task may be completed, by whom, and what that means. Pure."""

from enum import Enum, auto


class Completion(Enum):
    """What it means that somebody says a task is done."""

    IN_TIME = auto()
    """It was theirs, or nobody's: it is completed."""
    TOO_LATE = auto()
    """The task was withdrawn or expired while they were at it; what came of it happened all the
    same, and is said."""
    AGAIN = auto()
    """They said so before."""
    REFUSED = auto()
    """Somebody else has it, or it ended with another outcome."""


def complete(
    status: str, holder: str | None, said: str | None, *, by: str, outcome: str
) -> Completion:
    """What it means that `by` says what came of a task, which has this `status` now, this last
    `holder`, and of which this was `said` before."""
    if said is not None:
        again = holder == by and said == outcome
        if not again:
            return Completion.REFUSED
        return Completion.AGAIN if status == "completed" else Completion.REFUSED
    if status == "open" or (status == "claimed" and holder == by):
        return Completion.IN_TIME
    if status in ("withdrawn", "expired") and holder == by:
        return Completion.TOO_LATE
    return Completion.REFUSED
