"""How often something happened, kept on the identifier that each touchpoint hangs on.

A stream is "touchpoints of this type for which this holds"; several windows share one. A merge
unites the tallies of two profiles and a split divides them, as with sums. `join` must stay
commutative and associative, so order changes nothing.
"""

from collections.abc import Sequence

import msgspec

from services.profile.domain import kept as forms
from services.profile.domain.kept import Kept


class Tally(msgspec.Struct, array_like=True, gc=False):
    """One stream on one identifier: how many ever, and the newest instants (milliseconds since
    1970, newest first), as many of them as any condition can ask for. A stream of values has what
    it keeps of them instead."""

    count: int
    recent: list[int]
    kept: Kept | None = None


Tallies = dict[str, Tally]
"""By the key of the stream."""


def add(tally: Tally, at: int, keep: int) -> None:
    """Count a touchpoint in place; `keep` instants are held."""
    tally.count += 1
    recent = tally.recent
    place = len(recent)
    while place and recent[place - 1] < at:
        place -= 1
    if place < keep:
        recent.insert(place, at)
        del recent[keep:]


def join(tallies: Sequence[Tally], keep: int) -> Tally:
    """Everything together, as a new value."""
    count = 0
    recent: list[int] = []
    for tally in tallies:
        count += tally.count
        recent += tally.recent
    recent.sort(reverse=True)
    kept = [tally.kept for tally in tallies if tally.kept is not None]
    return Tally(count, recent[:keep], forms.join(kept) if kept else None)
