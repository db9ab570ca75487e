"""Counts of past touchpoints in a window that slides with time: what holds now, and until when.

Instants are whole milliseconds since 1970. A touchpoint of instant t lies in a window of length w
at instant x while x < t + w; so it leaves at t + w exactly, and one that is ahead of the clock is
in. Only the newest touchpoints matter: whoever asks about up to k of them needs the k + 1 newest,
for all older ones leave before these. Nothing here reads a clock.
"""

from bisect import bisect_left
from collections.abc import Sequence
from datetime import timedelta

from shared.conditions.tree import CountOp

_MILLISECOND = timedelta(milliseconds=1)


def milliseconds(length: timedelta) -> int:
    """A window's length."""
    return length // _MILLISECOND


def count_in(recent: Sequence[int], within: int, at: int) -> int:
    """How many of the instants (newest first) lie in the window at `at`."""
    return bisect_left(recent, True, key=lambda instant: instant + within <= at)


def next_change(recent: Sequence[int], within: int, op: CountOp, bound: int, at: int) -> int | None:
    """The first instant after `at` at which `count <op> bound` becomes true or false by itself.

    None when time alone will never change it. `recent` are the `bound + 1` newest instants or
    more, newest first.
    """
    count = count_in(recent, within, at)
    match op:
        case "gte" | "lt":
            return _falls_below(recent, within, bound, count)
        case "gt" | "lte":
            return _falls_below(recent, within, bound + 1, count)
        case _:
            return _meets_or_leaves(recent, within, bound, count)


def _falls_below(recent: Sequence[int], within: int, least: int, count: int) -> int | None:
    return recent[least - 1] + within if 0 < least <= count else None


def _meets_or_leaves(recent: Sequence[int], within: int, bound: int, count: int) -> int | None:
    """When a count becomes equal to the bound, or ceases to be."""
    if count <= bound:
        return _falls_below(recent, within, bound, count)
    if bound and recent[bound - 1] == recent[bound]:
        return None  # they leave together: the count goes past the bound
    return recent[bound] + within


def latest_kept(bound: int) -> int:
    """How many of the newest instants decide every comparison with a bound up to this one."""
    return bound + 1
