"""What the local stack tells its user while it works: short lines with elapsed times."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(slots=True)
class Progress:
    """Prints one line for each step, with the seconds since the start."""

    quiet: bool = False
    started: float = field(default_factory=time.monotonic)

    def say(self, text: str) -> None:
        """One line now."""
        if not self.quiet:
            elapsed = time.monotonic() - self.started
            print(f"[{elapsed:6.1f} s] {text}", file=sys.stdout, flush=True)

    @contextmanager
    def step(self, doing: str, done: str) -> Iterator[None]:
        """Say what is being done, then that it is done and how long that took."""
        self.say(f"{doing} …")
        begun = time.monotonic()
        yield
        self.say(f"{done} in {time.monotonic() - begun:.1f} s")
