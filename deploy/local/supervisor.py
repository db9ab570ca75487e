"""Keeps children running: one that ends is said and started again, with back-off.

Its `tick` is called from the one loop of the stack; it never waits.
"""

import signal
import time
from dataclasses import dataclass, field

from deploy.local.processes import Child, Processes
from deploy.local.progress import Progress

FIRST_DELAY = 0.2
LONGEST_DELAY = 10.0
# A child that ran this long starts with the first delay again.
STEADY_SECONDS = 30.0


@dataclass(slots=True)
class Watched:
    """One child and when to start it again."""

    child: Child
    started: float
    delay: float = FIRST_DELAY
    restart_at: float | None = None
    ends: int = 0


@dataclass(slots=True)
class Supervisor:
    """The children of one stack."""

    processes: Processes
    progress: Progress
    watched: list[Watched] = field(default_factory=list)

    def watch(self, child: Child) -> Watched:
        """From now on keep this child running."""
        watched = Watched(child, time.monotonic())
        self.watched.append(watched)
        return watched

    def tick(self) -> None:
        """Look at every child once; start again what is due."""
        now = time.monotonic()
        for watched in self.watched:
            if watched.restart_at is None:
                code = watched.child.exit_code()
                if code is not None:
                    self._plan_restart(watched, code, now)
            elif now >= watched.restart_at:
                self.processes.restart(watched.child)
                watched.restart_at, watched.started = None, now

    def _plan_restart(self, watched: Watched, code: int, now: float) -> None:
        if now - watched.started > STEADY_SECONDS:
            watched.delay = FIRST_DELAY
        child = watched.child
        self.progress.say(
            f"{child.name} ended ({how_it_ended(code)}): {child.last_words()[:200]} "
            f"(see {child.log}); starting it again in {watched.delay:.1f} s"
        )
        watched.ends += 1
        watched.restart_at = now + watched.delay
        watched.delay = min(watched.delay * 2, LONGEST_DELAY)


def how_it_ended(code: int) -> str:
    """An exit code in words."""
    return f"by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
