"""One real Kafka and one real PostgreSQL for a test session, started by the code of `make run`.

They run under a process of their own that ends, and cleans up, when the test process is gone,
whatever became of it. `CONCERT_TEST_HOME=/path` uses the stack that already runs there
(`CONCERT_HOME=/path python -m deploy.local up --only-infra`) and leaves it running.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from deploy.local.home import CHECKOUT, Home
from deploy.local.ports import Ports, is_free
from deploy.local.processes import Processes, tail

START_SECONDS = 300.0
RUN_INFRA = (sys.executable, "-m", "deploy.local", "run", "--only-infra")


@dataclass(frozen=True, slots=True)
class Stack:
    """Where the session's Kafka and PostgreSQL are."""

    home: Home
    kafka: str
    owner_url: str

    def pid(self, server: str) -> int:
        """The process id of `kafka` or `postgres`."""
        return Processes(self.home).alive()[server]

    @contextmanager
    def frozen(self, server: str) -> Iterator[None]:
        """Freeze `kafka` or `postgres` and all its children for the block: nothing answers."""
        parent = psutil.Process(self.pid(server))
        family = [parent, *parent.children(recursive=True)]
        try:
            for process in family:
                process.send_signal(signal.SIGSTOP)
            yield
        finally:
            for process in reversed(family):
                if process.is_running():
                    process.send_signal(signal.SIGCONT)


@contextmanager
def running_stack() -> Iterator[Stack]:
    """The stack named by `CONCERT_TEST_HOME`, or a new one in a temporary folder."""
    chosen = os.environ.get("CONCERT_TEST_HOME")
    if chosen:
        yield _read(Home(Path(chosen).resolve()))
        return
    with private_stack() as stack:
        yield stack


@contextmanager
def private_stack() -> Iterator[Stack]:
    """A stack of one's own, for a test that breaks it."""
    # Not below pytest's folder: that is closed to the account which PostgreSQL runs under.
    root = Path(tempfile.mkdtemp(prefix="concert-test-"))
    output = root / "stack.log"
    with output.open("wb") as log:
        popen = subprocess.Popen(
            [*RUN_INFRA, f"--with-parent={os.getpid()}"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=CHECKOUT,
            env=stack_environment(root, free_base()),
            start_new_session=True,
        )
    try:
        _wait_until_ready(popen, Home(root), output)
        yield _read(Home(root))
    finally:
        popen.terminate()
        popen.wait(90)
        shutil.rmtree(root)


def stack_environment(root: Path, base: int) -> dict[str, str]:
    """The environment of a local stack of its own at `root`, apart from any real cluster."""
    ours = {k: v for k, v in os.environ.items() if not k.startswith("CONCERT_") or _is_cache(k)}
    return ours | {"CONCERT_HOME": str(root), "CONCERT_PORT_BASE": str(base)}


def free_base() -> int:
    """A port base whose ports are free now, away from the defaults and the ephemeral range."""
    while True:
        ports = Ports(random.randrange(10000, 30000, 100))
        wanted = [ports.kafka, ports.kafka_controller, ports.postgres]
        wanted += [*range(ports.base + 1, ports.base + 9)]
        wanted += [*range(ports.base + 1101, ports.base + 1113)]
        if all(map(is_free, wanted)):
            return ports.base


def _is_cache(name: str) -> bool:
    return name == "CONCERT_CACHE"


def _wait_until_ready(popen: subprocess.Popen[bytes], home: Home, output: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not (home.run / "stack.json").exists():
        if popen.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"the stack for the tests did not start:\n{tail(output)}")
        time.sleep(0.05)


def _read(home: Home) -> Stack:
    told = json.loads((home.run / "stack.json").read_text())
    return Stack(home, told["kafka"], told["owner_url"])
