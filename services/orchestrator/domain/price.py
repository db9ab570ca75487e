"""What one of a scarce resource is worth now: its price, found while it is spent.

Online dual descent, in its multiplicative form: in every tick the price moves by how far what was
spent is from what should have been, so that what is left lasts to the end of the window along its
curve. The price stays from window to window: the next one starts with what this one learned.
"""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.orchestrator.domain.resource import Resource

TICKS = 960
SHORTEST, LONGEST = timedelta(seconds=10), timedelta(minutes=15)
RATE = 0.05
"""How much a price follows: a tick that spends twice its target raises it by 5 %."""
MOST = 20.0
"""More than so many times the target above it counts as that."""
SMALLEST = 0.05
"""In money: from nothing a price grows as if it were this."""


@dataclass(frozen=True, slots=True)
class Priced:
    """A price in money for one of a resource, as of an instant; `seen` was used by then in the
    window that started at `window`."""

    price: float
    at: datetime
    window: datetime
    seen: float


def tick_of(resource: Resource) -> timedelta:
    """How long a price stays before it is asked again."""
    return min(LONGEST, max(SHORTEST, resource.per / TICKS))


def next_price(resource: Resource, last: Priced | None, used: float, at: datetime) -> Priced | None:
    """The price from an instant on, when `used` is used in its window; None while the tick lasts.

    The first price is 0: nothing is known to be scarce before it was spent.
    """
    start, _ = resource.window(at)
    if last is None:
        return Priced(0.0, at, start, used)
    if at - last.at < tick_of(resource):
        return None
    same = last.window == start
    since, seen = (last.at, last.seen) if same else (start, 0.0)
    target = _target(resource, since, seen, at)
    spent = used - seen
    if target > 0.0:
        error = min(MOST, max(-1.0, (spent - target) / target))
    else:
        error = MOST if spent > 0.0 else 0.0
    price = (last.price + SMALLEST) * math.exp(RATE * error) - SMALLEST
    return Priced(max(0.0, price), at, start, used)


def _target(resource: Resource, since: datetime, seen: float, at: datetime) -> float:
    """What should have been spent from one instant to another, so that what was left then lasts to
    the end of the window."""
    before = resource.planned(since)
    rest = resource.limit - before
    if rest <= 0.0:
        return 0.0
    return max(0.0, resource.limit - seen) * (resource.planned(at) - before) / rest
