"""Named places where a test may kill or freeze the process; nothing at all otherwise.

`CONCERT_CRASH=<point>:<nth>` sends SIGKILL to this process the nth time it comes by,
`CONCERT_PAUSE=<point>:<nth>` sends SIGSTOP. Both are read once, when the process starts.
"""

import os
import signal

POINTS: tuple[str, ...] = (
    "runtime.fetched",
    "runtime.lease_checked",
    "runtime.handled",
    "runtime.outbox_inserted",
    "runtime.before_commit",
    "runtime.after_commit",
    "runtime.produced",
    "runtime.mirrored",
    "relay.read",
    "relay.produced",
    "relay.before_delete",
    "relay.after_delete",
)
"""The points of the processing core; each service lists its own beside its handler."""

_VARIABLES = (("CONCERT_CRASH", signal.SIGKILL), ("CONCERT_PAUSE", signal.SIGSTOP))


def _armed() -> dict[str, tuple[int, signal.Signals]]:
    armed = {}
    for variable, sent in _VARIABLES:
        point, _, nth = os.environ.get(variable, "").partition(":")
        if point:
            armed[point] = (int(nth or 1), sent)
    return armed


_ARMED = _armed()
_passed: dict[str, int] = {}


def crash_point(name: str) -> None:
    """Die or freeze here if the environment named this point and this is its nth passing."""
    if not _ARMED or name not in _ARMED:
        return
    _passed[name] = _passed.get(name, 0) + 1
    nth, sent = _ARMED[name]
    if _passed[name] == nth:
        os.kill(os.getpid(), sent)
