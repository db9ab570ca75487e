"""Ctrl-C and SIGTERM become one exception, raised once, in the main thread.

Everything that was started is stopped on the way out by the context managers it lives in. A
second signal changes nothing: each stop has its own deadline. Nothing is half-started: a signal
that comes inside `undisturbed` waits for its end.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class StopRequestedError(KeyboardInterrupt):
    """The user or the machine asked the stack to stop."""


class _State:
    """Whether signals wait now, and whether one does."""

    held = 0
    pending = False


def stop_on_signals() -> None:
    """From now on SIGINT, SIGTERM and SIGHUP raise StopRequestedError, once."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _on_signal)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Hold a stop back until the end of this block, which must be short."""
    _State.held += 1
    try:
        yield
    finally:
        _State.held -= 1
    if _State.pending and not _State.held:
        _State.pending = False
        raise StopRequestedError


def _on_signal(_number: int, _frame: FrameType | None) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    if _State.held:
        _State.pending = True
    else:
        raise StopRequestedError
