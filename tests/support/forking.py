"""`python -m tests.support.forking`: the process of a nursery (`nursery.py`), which forks roles.

Its standard input is the socket it is asked through, one line of JSON a question. When that
closes, whatever became of the tests, it ends what it forked.
"""

import contextlib
import gc
import importlib
import json
import os
import signal
import socket
from collections.abc import Mapping
from typing import Any

from services.ingest.bootstrap import COMMANDS as INGEST
from services.orchestrator.bootstrap import COMMANDS as ORCHESTRATOR
from services.profile.bootstrap import COMMANDS as PROFILE
from shared.runtime import crash
from shared.runtime.cli import Command, Tool, main

LATER = (
    "services.ingest.api.app",
    "services.orchestrator.api.app",
    "services.orchestrator.api.send_test",
    "services.profile.api.app",
)
"""What a role imports when it is built."""
COMMANDS: Mapping[str, Mapping[str, Command | Tool]] = {
    "ingest": INGEST,
    "profile": PROFILE,
    "orchestrator": ORCHESTRATOR,
}


def serve() -> dict[str, Any] | None:
    """Fork on demand and tell of ends. In a role: what it was asked to be; at the end: None."""
    codes: dict[int, int | None] = {}
    with (
        contextlib.suppress(ConnectionError),  # who asked is gone before the answer
        socket.socket(fileno=0) as asked,
        asked.makefile("rwb") as stream,
    ):
        for line in stream:
            request: dict[str, Any] = json.loads(line)
            if "poll" in request:
                answer = exit_code(codes, request["poll"])
            elif answer := os.fork():
                codes[answer] = None
            else:
                return request
            stream.write(json.dumps(answer).encode() + b"\n")
            stream.flush()
    for pid in codes:
        if exit_code(codes, pid) is None:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    return None


def exit_code(codes: dict[int, int | None], pid: int) -> int | None:
    """How a role ended (negative: the signal), None while it runs; `codes` keeps what is known."""
    if codes[pid] is None:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            codes[pid] = os.waitstatus_to_exitcode(status)
    return codes[pid]


def become(request: dict[str, Any]) -> int:
    """Run the role as a process does that was started for it; its exit status."""
    os.setsid()
    os.chdir(request["cwd"])
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    log = os.open(request["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    for output in (1, 2):
        os.dup2(log, output)
    os.environ.clear()
    os.environ.update(request["env"])
    crash._ARMED.update(crash._armed())
    return main(request["service"], COMMANDS[request["service"]], [request["role"]])


if __name__ == "__main__":
    for module in LATER:
        importlib.import_module(module)
    gc.collect()
    gc.freeze()  # so that a collection in a role copies no page of the common memory
    asked = serve()
    raise SystemExit(0 if asked is None else become(asked))
