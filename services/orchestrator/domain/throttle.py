"""How many deliveries a channel may begin now: its rate, and its circuit breaker.

The state is one row for each channel, shared by all processes; all times are real. The rate is
counted in slots of a twentieth of its period, a delivery for as long as its slot may reach into the
window that ends now: never more than the limit in any period, and at least 20/21 of it over time.
After several failures in a row nothing is begun for a while; then one delivery tries alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from services.orchestrator.domain.connector import Rate

SLOTS = 20
FAILURES = 5
"""Failures in a row after which the circuit opens."""
LAST_CHANCE = FAILURES - 1
"""So many count once a delivery tries alone: its failure opens the circuit again."""
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=10), timedelta(minutes=5)
LONGEST_WAIT = timedelta(hours=1)
"""The most a channel may ask for by `Retry-After`."""
CLOSED, HALF_OPEN, OPEN = 0.0, 0.5, 1.0


@dataclass(frozen=True, slots=True)
class Throttle:
    """`slots` counts what was begun, `failures` are in a row, `opened` is how often the circuit
    opened since the last success, and before `blocked_until` nothing is begun. What fails while the
    circuit is open had begun before: it opens it no further."""

    slots: Mapping[int, int]
    failures: int = 0
    opened: int = 0
    blocked_until: datetime | None = None

    def circuit(self, at: datetime) -> float:
        """CLOSED, HALF_OPEN or OPEN, for the metric."""
        if self.blocked_until is not None and at < self.blocked_until:
            return OPEN
        return HALF_OPEN if self.failures >= FAILURES else CLOSED


def room(throttle: Throttle, rate: Rate | None, at: datetime) -> int | None:
    """How many may begin now; None: as many as one likes."""
    circuit = throttle.circuit(at)
    if circuit == OPEN:
        return 0
    left = None if rate is None else max(0, rate.limit - _begun(throttle.slots, rate, at))
    if circuit == HALF_OPEN:
        return 1 if left is None else min(1, left)
    return left


def begun(
    throttle: Throttle, rate: Rate | None, at: datetime, *, count: int, lease: timedelta
) -> Throttle:
    """The state after `count` began. The one that tries a half-open circuit has it for itself."""
    slots: dict[int, int] = {}
    if rate is not None:
        now = _slot(rate, at)
        slots = {slot: n for slot, n in throttle.slots.items() if slot >= now - SLOTS}
        slots[now] = slots.get(now, 0) + count
    blocked, failures = throttle.blocked_until, throttle.failures
    if count and throttle.circuit(at) == HALF_OPEN:
        blocked, failures = at + lease, LAST_CHANCE
    return replace(throttle, slots=slots, failures=failures, blocked_until=blocked)


def failed(throttle: Throttle, at: datetime, *, retry_after: timedelta | None) -> Throttle:
    """The state after one that the channel could not take. Raises nothing."""
    failures, opened, until = throttle.failures + 1, throttle.opened, throttle.blocked_until
    if failures == FAILURES:
        pause: timedelta = min(FIRST_PAUSE * 2 ** min(opened, 10), LONGEST_PAUSE)
        opened, until = opened + 1, at + pause
    if retry_after is not None:
        asked = at + min(retry_after, LONGEST_WAIT)
        until = asked if until is None else max(until, asked)
    return replace(throttle, failures=failures, opened=opened, blocked_until=until)


def _begun(slots: Mapping[int, int], rate: Rate, at: datetime) -> int:
    first = _slot(rate, at) - SLOTS
    return sum(n for slot, n in slots.items() if slot >= first)


def _slot(rate: Rate, at: datetime) -> int:
    return int(at.timestamp() * SLOTS / rate.per.total_seconds())
