"""How often something happened, kept on the identifier that each touchpoint hangs on.

A stream is "touchpoints of this type for which this holds"; several windows share one. A merge
unites the tallies of two profiles and a split divides them, as with sums. `join` must stay
commutative and associative, so order changes nothing.
"""

from collections.abc import Iterable

import msgspec


class Tally(msgspec.Struct, array_like=True, gc=False):
    """One stream on one identifier: how many ever, and the newest instants (milliseconds since
    1970, newest first), as many of them as any condition can ask for."""

    count: int
    recent: list[int]


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


def join(tallies: Iterable[Tally], keep: int) -> Tally:
    """Everything together, as a new value."""
    count = 0
    recent: list[int] = []
    for tally in tallies:
        count += tally.count
        recent += tally.recent
    recent.sort(reverse=True)
    return Tally(count, recent[:keep])
