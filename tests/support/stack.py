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
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from deploy.local.home import CHECKOUT, Home
from deploy.local.ports import Ports, is_free
from deploy.local.processes import Processes, tail, wait_until_dead
from deploy.local.run import ready_file

START_SECONDS = 300.0
WORKERS = 16
"""Of so many that run side by side each has port bases of its own."""
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


@dataclass(slots=True)
class Servers:
    """The servers of one home, which can be stopped and started again on the same data."""

    home: Home
    environment: Mapping[str, str]
    _popen: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def stack(self) -> Stack:
        """Where they are."""
        return _read(self.home)

    @property
    def ports(self) -> Ports:
        """What they listen on."""
        return Ports(int(self.environment["CONCERT_PORT_BASE"]))

    def start(self) -> None:
        """Start them all and wait until they answer."""
        output = self.home.root / "stack.log"
        with output.open("ab") as log:
            self._popen = subprocess.Popen(
                [*RUN_INFRA, f"--with-parent={os.getpid()}"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=CHECKOUT,
                env=self.environment,
                start_new_session=True,
            )
        _wait_until_ready(self._popen, self.home, output)

    def stop(self) -> None:
        """SIGTERM, and wait for the clean end of each; nothing to do when none runs."""
        if self._popen is not None:
            self._popen.terminate()
            self._popen.wait(90)
            self._popen = None

    def kill(self) -> None:
        """SIGKILL to all of them at once, first to what would start them again."""
        assert self._popen is not None, "they do not run"
        self._popen.kill()
        self._popen.wait(10)
        self._popen = None
        for pid in Processes(self.home).alive().values():
            os.kill(pid, signal.SIGKILL)
            assert wait_until_dead(pid, 10)
        ready_file(self.home).unlink()


@contextmanager
def private_stack() -> Iterator[Stack]:
    """A stack of one's own."""
    with _own_servers({}) as servers:
        yield servers.stack


@contextmanager
def own_kafka(stack: Stack, *, forwarded: str | None = None) -> Iterator[Servers]:
    """A Kafka for tests that stop it or cut its connections; PostgreSQL is that of `stack`.

    `forwarded` is where clients of its listener for a proxy are told to connect.
    """
    given = {"CONCERT_DATABASE_URL": stack.owner_url}
    if forwarded is not None:
        given["CONCERT_KAFKA_FORWARDED"] = forwarded
    with _own_servers(given) as servers:
        yield servers


@contextmanager
def _own_servers(given: Mapping[str, str]) -> Iterator[Servers]:
    # Not below pytest's folder: that is closed to the account which PostgreSQL runs under.
    root = Path(tempfile.mkdtemp(prefix="concert-test-"))
    servers = Servers(Home(root), {**stack_environment(root, free_base()), **given})
    try:
        servers.start()
        yield servers
    finally:
        servers.stop()
        shutil.rmtree(root)


def stack_environment(root: Path, base: int) -> dict[str, str]:
    """The environment of a local stack of its own at `root`, apart from any real cluster."""
    ours = {k: v for k, v in os.environ.items() if not k.startswith("CONCERT_") or _is_cache(k)}
    return ours | {"CONCERT_HOME": str(root), "CONCERT_PORT_BASE": str(base)}


def free_base() -> int:
    """A port base whose ports are free now, away from the defaults and the ephemeral range.

    Tests that run side by side choose among bases of their own: a port that is free now is another
    stack's a few seconds later.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % WORKERS
    while True:
        ports = Ports(random.randrange(10000 + 100 * worker, 30000, 100 * WORKERS))
        wanted = [ports.kafka, ports.kafka_controller, ports.kafka_forwarded, ports.postgres]
        wanted += [*range(ports.base + 1, ports.base + 9)]
        wanted += [*range(ports.base + 1101, ports.base + 1113)]
        if all(map(is_free, wanted)):
            return ports.base


def _is_cache(name: str) -> bool:
    return name == "CONCERT_CACHE"


def _wait_until_ready(popen: subprocess.Popen[bytes], home: Home, output: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not ready_file(home).exists():
        if popen.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"the stack for the tests did not start:\n{tail(output)}")
        time.sleep(0.05)


def _read(home: Home) -> Stack:
    told = json.loads(ready_file(home).read_text())
    return Stack(home, told["kafka"], told["owner_url"])
