"""The stack in the background: start it, stop it, say what runs."""

import json
import os
import signal
import subprocess
import sys
import time

from deploy.local.errors import StackError
from deploy.local.home import CHECKOUT, Home, default_root, exclusive, open_home
from deploy.local.processes import Processes, wait_until_dead
from deploy.local.run import ready_file

STOP_SECONDS = 120.0


def up(*, only_infra: bool) -> int:
    """Start a stack of its own session and return when it is ready; 1 when it ends instead."""
    home = open_home(default_root())
    log = home.logs / "stack.log"
    log.unlink(missing_ok=True)
    log.touch(mode=0o600)  # the banner in it shows the admin token
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
            ready = _ready_pid(home) == popen.pid
            sys.stdout.buffer.write(shown.read())
            sys.stdout.buffer.flush()
            if code is not None:
                return code or 1
            if ready:
                popen.returncode = 0  # it outlives us on purpose: nothing to collect
                return 0
            time.sleep(0.1)


def down() -> int:
    """Stop the stack of this home, and whatever a killed one left behind."""
    home = open_home(default_root())
    try:
        with exclusive(home):
            processes = Processes(home)
            ended = processes.alive()
            processes.end_leftovers()
            print(f"ended {', '.join(ended)}" if ended else f"nothing runs on {home.root}")
            return 0
    except StackError:
        pid = int((home.run / "lock").read_text())
    os.kill(pid, signal.SIGTERM)
    if not wait_until_dead(pid, STOP_SECONDS):
        raise StackError(f"pid {pid} did not stop within {STOP_SECONDS:.0f} s")
    print("stopped")
    return 0


def status() -> int:
    """Say what runs; exit code 0 when the stack is ready."""
    home = open_home(default_root())
    for name, pid in Processes(home).alive().items():
        print(f"{name:<24}pid {pid}")
    try:
        with exclusive(home):
            state = "stopped"
    except StackError:
        state = "ready" if ready_file(home).exists() else "starting or stopping"
    print(f"{home.root}: {state}")
    return 0 if state == "ready" else 1


def _ready_pid(home: Home) -> int | None:
    if not ready_file(home).exists():
        return None
    pid: int = json.loads(ready_file(home).read_text())["pid"]
    return pid
