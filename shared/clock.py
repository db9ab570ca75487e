"""The only place that reads this machine's clock.

Used for what must be real time on this machine: `received_at`, lag, log lines, time-outs.
Never for timers, windows, caps, quiet hours or expiries: these use the database's clock, which
all processes share and a test deployment may shift. The pure domain is given its time.
"""

import time
from datetime import UTC, datetime


def now() -> datetime:
    """The present instant, aware, in UTC."""
    return datetime.now(UTC)  # noqa: TID251 - this is the one place that may


def unix_seconds() -> float:
    """The present instant in seconds since 1970-01-01 UTC; can jump when the clock is set."""
    return time.time()


def unix_milliseconds() -> int:
    """The present instant in whole milliseconds since 1970-01-01 UTC (Kafka's unit)."""
    return time.time_ns() // 1_000_000


def monotonic_seconds() -> float:
    """Seconds since some fixed moment; only differences mean anything, and it never jumps."""
    return time.monotonic()
