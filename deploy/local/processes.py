"""Child processes of the local stack: start, stop, remember, and clear up after a crash.

Every child runs in a session of its own, so that Ctrl-C in the terminal reaches only the stack,
which then stops its children in the right order. Each start is noted in `run/processes.json`
with pid and start time: if the stack itself is killed, the next start (or `make down`) ends
what it left behind. Never signals a process that it did not start.
"""

import json
import os
import pwd
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

import psutil

from deploy.local.errors import StackError
from deploy.local.home import Home
from deploy.local.signals import undisturbed

LOG_LIMIT = 64 * 1024 * 1024
LEFTOVER_SECONDS = 20.0


class Noted(TypedDict):
    """One line of the note."""

    name: str
    pid: int
    started: float


@dataclass(frozen=True, slots=True)
class Account:
    """A user of this machine that a child runs as."""

    name: str
    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Command:
    """What to run, under which name, as whom."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str]
    account: Account | None = None
    cwd: Path = Path("/")


@dataclass(slots=True)
class Child:
    """A child process that runs or has ended; `restart` gives it a new process."""

    command: Command
    popen: subprocess.Popen[bytes]
    log: Path

    @property
    def name(self) -> str:
        """What it was started as."""
        return self.command.name

    @property
    def pid(self) -> int:
        """The process id."""
        return self.popen.pid

    def exit_code(self) -> int | None:
        """How it ended (negative: the signal), or None while it runs."""
        return self.popen.poll()

    def last_words(self) -> str:
        """The last line of its log, to explain why it ended."""
        lines = [line for line in tail(self.log).splitlines() if line.strip()]
        return lines[-1].strip() if lines else "it wrote nothing"


@dataclass(frozen=True, slots=True)
class Processes:
    """The children of one stack, noted in its home."""

    home: Home

    @property
    def register(self) -> Path:
        """The note of what was started."""
        return self.home.run / "processes.json"

    def start(self, command: Command) -> Child:
        """Start a child, its output appended to `logs/<name>.log`."""
        log = self.home.logs / f"{command.name}.log"
        return Child(command, self._spawn(command, log), log)

    def restart(self, child: Child) -> None:
        """Start an ended child again, the same way."""
        self._forget(child.pid)
        child.popen = self._spawn(child.command, child.log)

    def stop(self, child: Child, *, polite: int = signal.SIGTERM, patience: float = 20.0) -> bool:
        """End a child: the polite signal, then after `patience` seconds SIGKILL to its session.

        Returns whether it went politely.
        """
        if child.exit_code() is None:
            child.popen.send_signal(polite)
        return self._waited(child, patience)

    def stop_all(self, children: Sequence[Child], *, patience: float = 20.0) -> list[str]:
        """SIGTERM to all at once, one deadline for all; the names of those that were killed."""
        for child in children:
            if child.exit_code() is None:
                child.popen.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + patience
        return [
            child.name
            for child in children
            if not self._waited(child, max(0.0, deadline - time.monotonic()))
        ]

    def end_leftovers(self) -> None:
        """End what an earlier stack of this home left running, last started first."""
        for name, process in reversed(self._running()):
            polite = signal.SIGINT if name == "postgres" else signal.SIGTERM
            with suppress(psutil.NoSuchProcess):
                process.send_signal(polite)
                if not wait_until_dead(process.pid, LEFTOVER_SECONDS):
                    process.kill()
                    wait_until_dead(process.pid, LEFTOVER_SECONDS)
        self._write([])

    def alive(self) -> dict[str, int]:
        """Name and pid of every noted process that runs now, in the order they were started."""
        return {name: process.pid for name, process in self._running()}

    def _running(self) -> list[tuple[str, psutil.Process]]:
        pairs = [(e["name"], _same_process(e["pid"], e["started"])) for e in self._noted()]
        return [(name, process) for name, process in pairs if process is not None]

    def _spawn(self, command: Command, log: Path) -> subprocess.Popen[bytes]:
        if log.exists() and log.stat().st_size > LOG_LIMIT:
            log.replace(log.with_suffix(".log.1"))
        account = command.account
        with undisturbed(), log.open("ab") as output:
            popen = subprocess.Popen(
                list(command.argv),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(command.env),
                cwd=command.cwd,
                start_new_session=True,
                user=account.uid if account else None,
                group=account.gid if account else None,
                extra_groups=[] if account else None,
            )
            self._note(command.name, popen.pid)
        return popen

    def _waited(self, child: Child, patience: float) -> bool:
        """Wait for the end, killing its session when patience runs out; whether that was not so."""
        gone_politely = True
        try:
            child.popen.wait(patience)
        except subprocess.TimeoutExpired:
            gone_politely = False
            os.killpg(child.pid, signal.SIGKILL)
            child.popen.wait()
        self._forget(child.pid)
        return gone_politely

    def _note(self, name: str, pid: int) -> None:
        try:
            started = psutil.Process(pid).create_time()
        except psutil.NoSuchProcess:
            return  # it ended at once; whoever started it sees its exit code
        self._write([*self._noted(), {"name": name, "pid": pid, "started": started}])

    def _forget(self, pid: int) -> None:
        self._write([entry for entry in self._noted() if entry["pid"] != pid])

    def _noted(self) -> list[Noted]:
        if not self.register.exists():
            return []
        entries: list[Noted] = json.loads(self.register.read_text())
        return entries

    def _write(self, entries: list[Noted]) -> None:
        new = self.register.with_suffix(".new")
        new.write_text(json.dumps(entries, indent=1))
        new.replace(self.register)


def _same_process(pid: int, started: float) -> psutil.Process | None:
    """The process if it is still the one that was noted, not a later one with the same number."""
    try:
        process = psutil.Process(pid)
        if abs(process.create_time() - started) > 1 or process.status() == psutil.STATUS_ZOMBIE:
            return None
    except psutil.NoSuchProcess:
        return None
    return process


def unprivileged_account(owner_of: Path | None = None) -> Account | None:
    """The account for servers that refuse to run as root; None when this process is not root.

    Data that exists keeps its owner; otherwise `postgres` if the machine has it, else `nobody`.
    """
    if os.geteuid() != 0:
        return None
    if owner_of is not None and owner_of.exists() and (uid := owner_of.stat().st_uid) != 0:
        entry = pwd.getpwuid(uid)
        return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name, entry.pw_uid, entry.pw_gid)
    raise StackError(
        "PostgreSQL does not run as root and there is no account `postgres` or `nobody`: "
        "start the stack as an ordinary user"
    )


def tail(log: Path, size: int = 4096) -> str:
    """The last `size` bytes of a log."""
    if not log.exists():
        return ""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - size))
        return file.read().decode(errors="replace")


def wait_until_dead(pid: int, seconds: float) -> bool:
    """Wait until a process that is not a child is gone; whether it went in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            # Nobody may collect a dead orphan in a container: a zombie is as good as gone.
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.05)
    return False
