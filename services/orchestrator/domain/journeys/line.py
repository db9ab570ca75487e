"""The line at a throttle, and of runs that are released: places in time, evenly spaced.

The state of a line is one instant: the first place that is free. Nobody stands in it twice, and a
line that stood empty does not make up for it by a crowd.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta


def take(free_at: datetime | None, interval: timedelta, now: datetime) -> tuple[datetime, datetime]:
    """The instant at which the next one may pass, and the first free place after it. `free_at` is
    None for a line in which nobody stood."""
    at = now if free_at is None else max(free_at, now)
    return at, at + interval


def places(
    free_at: datetime | None, interval: timedelta, now: datetime, count: int
) -> Iterator[datetime]:
    """The places of the next `count`, in their order; as many calls of `take` give the same."""
    first, _ = take(free_at, interval, now)
    return (first + interval * place for place in range(count))
