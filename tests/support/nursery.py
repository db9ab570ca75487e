"""Role processes that need not import their service: forked from one that has.

A start of `python -m services.<service> <role>` is seconds of CPU for imports, and the tests start
hundreds. A nursery imports all services once and forks a role each time it is asked: a process of
its own, with its own session, environment, folder and output. Nurseries take turns, so that the
roles of one deployment do not all share a hash seed. How roles really start is proved by the tests
of the local stack.
"""

import itertools
import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from socket import socketpair
from typing import Any

from deploy.local.home import CHECKOUT
from deploy.local.processes import Command

FORKS = (sys.executable, "-u", "-m", "tests.support.forking")
NURSERIES = 2
POLL_SECONDS = 0.01


class Nursery:
    """A process that forks roles, asked through a socket; safe for several threads."""

    def __init__(self) -> None:
        ours, theirs = socketpair()
        with theirs:
            self._popen = subprocess.Popen(
                FORKS, stdin=theirs.fileno(), cwd=CHECKOUT, start_new_session=True
            )
        self._socket = ours
        self._answers = ours.makefile("rb")
        self._lock = threading.Lock()

    def ask(self, request: dict[str, Any]) -> Any:
        """What it answers to a request. Raises RuntimeError when it is gone."""
        with self._lock:
            try:
                self._socket.sendall(json.dumps(request).encode() + b"\n")
                answer = self._answers.readline()
            except ConnectionError:
                answer = b""
        if not answer:
            raise RuntimeError("the process that forks roles has ended")
        return json.loads(answer)

    def close(self) -> None:
        """End it and everything that it forked."""
        self._answers.close()
        self._socket.close()
        self._popen.wait(30)


class Forked:
    """A forked role: what of `subprocess.Popen` the tests use."""

    def __init__(self, nursery: Nursery, command: Command, log: Path) -> None:
        _, _, module, role = command.argv
        self._nursery = nursery
        self._code: int | None = None
        self.pid: int = nursery.ask(
            {
                "service": module.rpartition(".")[2],
                "role": role,
                "env": dict(command.env),
                "cwd": str(command.cwd),
                "log": str(log),
            }
        )

    def poll(self) -> int | None:
        """How it ended (negative: the signal), or None while it runs."""
        if self._code is None:
            self._code = self._nursery.ask({"poll": self.pid})
        return self._code

    def wait(self, timeout: float) -> int:
        """How it ended. Raises subprocess.TimeoutExpired when it runs for `timeout` s more."""
        deadline = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(f"role {self.pid}", timeout)
            time.sleep(POLL_SECONDS)
        return code


_nurseries: list[Nursery] = []
_turns = itertools.cycle(range(NURSERIES))


def can_fork() -> bool:
    """Whether a process may be forked that has loaded libraries: on Linux that is sound."""
    return sys.platform == "linux"


def fork_role(command: Command, log: Path) -> Forked:
    """Start a role, its output appended to `log`."""
    if not _nurseries:
        _nurseries.extend(Nursery() for _ in range(NURSERIES))  # they import side by side
    return Forked(_nurseries[next(_turns)], command, log)


def close_nurseries() -> None:
    """End all nurseries and what they forked; the next role begins anew."""
    while _nurseries:
        _nurseries.pop().close()
