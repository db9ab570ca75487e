"""Bring the whole of Concert up on this machine, keep it up, take it down again.

`run` stays in the foreground until Ctrl-C or SIGTERM; `up` does the same in the background and
returns when everything is ready; `down` ends that; `status` says what runs. The order is
PostgreSQL and Kafka, migrations, roles; the way down is the reverse.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence

from deploy.local.errors import StackError
from deploy.local.home import CHECKOUT, Home, default_root, exclusive, open_home, write_private
from deploy.local.infra import Infra, running_infra
from deploy.local.ports import Ports, chosen_ports
from deploy.local.processes import Processes, wait_until_dead
from deploy.local.progress import Progress
from deploy.local.signals import StopRequestedError, stop_on_signals, undisturbed

STOP_SECONDS = 120.0


def main(arguments: Sequence[str]) -> int:
    """Run one command; the exit code. A StackError is printed as its one line."""
    parser = argparse.ArgumentParser(prog="python -m deploy.local", description=__doc__)
    parser.add_argument("command", choices=("run", "up", "down", "status"))
    parser.add_argument(
        "--only-infra", action="store_true", help="Kafka and PostgreSQL alone, no roles"
    )
    parser.add_argument("--with-parent", type=int, help="stop when our parent is not this pid")
    chosen = parser.parse_args(arguments)
    try:
        if chosen.command == "run":
            return run(only_infra=chosen.only_infra, parent=chosen.with_parent)
        if chosen.command == "up":
            return up(only_infra=chosen.only_infra)
        if chosen.command == "down":
            return down()
        return status()
    except StackError as error:
        print(f"concert: {error}", file=sys.stderr)
        return 1


def run(*, only_infra: bool, parent: int | None) -> int:
    """Everything in the foreground, until a signal."""
    progress = Progress()
    ports = chosen_ports()
    home = open_home(default_root())
    stop_on_signals()
    try:
        with exclusive(home):
            _run_locked(home, ports, progress, only_infra=only_infra, parent=parent)
    except StopRequestedError:
        progress.say("stopped")
    return 0


def _run_locked(
    home: Home, ports: Ports, progress: Progress, *, only_infra: bool, parent: int | None
) -> None:
    processes = Processes(home)
    for name in processes.end_leftovers():
        progress.say(f"ended {name}, left over from a stack that was killed")
    _ready_file(home).unlink(missing_ok=True)
    try:
        with running_infra(home, ports, processes, progress) as infra:
            _say_ready(home, infra)
            while parent is None or os.getppid() == parent:
                time.sleep(0.1)
    finally:
        with undisturbed():
            _ready_file(home).unlink(missing_ok=True)


def _ready_file(home: Home):
    return home.run / "stack.json"


def _say_ready(home: Home, infra: Infra) -> None:
    text = json.dumps({"kafka": infra.kafka, "owner_url": infra.owner_url})
    write_private(_ready_file(home), text)


def up(*, only_infra: bool) -> int:
    """Everything in the background; returns when it is ready. Raises StackError if it ends."""
    home = open_home(default_root())
    log = home.logs / "stack.log"
    with log.open("wb") as output:
        command = [sys.executable, "-m", "deploy.local", "run"]
        popen = subprocess.Popen(
            [*command, "--only-infra"] if only_infra else command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=CHECKOUT,
            start_new_session=True,
        )
    with log.open("rb") as shown:
        while True:
            code = popen.poll()
            ready = _ready_file(home).exists()
            sys.stdout.write(shown.read().decode(errors="replace"))
            sys.stdout.flush()
            if code is not None:
                return code or 1
            if ready:
                return 0
            time.sleep(0.1)


def down() -> int:
    """Stop what `up` or `run` started on this home."""
    home = open_home(default_root())
    text = (home.run / "lock").read_text().strip() if (home.run / "lock").exists() else ""
    try:
        with exclusive(home):
            ended = Processes(home).end_leftovers()
        print(f"nothing runs on {home.root}" if not ended else f"ended {', '.join(ended)}")
        return 0
    except StackError:
        pass
    os.kill(int(text), signal.SIGTERM)
    if not wait_until_dead(int(text), STOP_SECONDS):
        raise StackError(f"pid {text} did not stop within {STOP_SECONDS:.0f} s")
    print("stopped")
    return 0


def status() -> int:
    """Say what runs; exit code 0 when the stack is ready."""
    home = open_home(default_root())
    for name, pid in Processes(home).alive().items():
        print(f"{name:<24} pid {pid}")
    ready = _ready_file(home).exists()
    print(f"{home.root}: {'ready' if ready else 'not ready'}")
    return 0 if ready else 1
