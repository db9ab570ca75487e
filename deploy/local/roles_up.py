"""Starts every role, waits until all are ready, stops them again.

Writes `run/targets.json`, which tells Prometheus (and people) where each process's metrics are.
"""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.local.errors import StackError
from deploy.local.home import Home
from deploy.local.ports import HOST, Ports
from deploy.local.processes import Processes
from deploy.local.progress import Progress
from deploy.local.services import ROLES, Deployment, Role
from deploy.local.supervisor import Supervisor, Watched

READY_SECONDS = 180.0
MOST_ENDS_BEFORE_READY = 5
STOP_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class RunningRole:
    """One role's process and its ports."""

    role: Role
    watched: Watched
    metrics_port: int
    api_port: int | None


@contextmanager
def running_roles(
    deployment: Deployment,
    ports: Ports,
    processes: Processes,
    progress: Progress,
    supervisor: Supervisor,
) -> Iterator[list[RunningRole]]:
    """Every role of `ROLES`, ready. Raises StackError naming one that does not become ready."""
    running: list[RunningRole] = []
    try:
        with progress.step(f"starting {len(ROLES)} roles", "all roles are ready"):
            for role, port in zip(ROLES, ports.metrics(), strict=False):
                # One by one: a stop in between must know every role that was started.
                one = _start(role, port, deployment, ports, processes, supervisor)
                running.append(one)
            write_targets(deployment.home, running)
            _wait_until_ready(running, supervisor)
        yield running
    finally:
        targets_file(deployment.home).unlink(missing_ok=True)
        with progress.step("stopping the roles", "roles stopped"):
            children = [one.watched.child for one in running]
            for name in processes.stop_all(children, patience=STOP_SECONDS):
                progress.say(f"{name} did not stop within {STOP_SECONDS:.0f} s and was killed")


def targets_file(home: Home) -> Path:
    """Where the scrape targets are listed, in Prometheus's file_sd format."""
    return home.run / "targets.json"


def write_targets(home: Home, running: list[RunningRole]) -> None:
    """List every process's metrics port."""
    targets = [
        {
            "targets": [f"{HOST}:{one.metrics_port}"],
            "labels": {"service": one.role.service, "role": one.role.name},
        }
        for one in running
    ]
    new = targets_file(home).with_suffix(".new")
    new.write_text(json.dumps(targets, indent=2) + "\n")
    new.replace(targets_file(home))


def is_ready(port: int) -> bool:
    """Whether `/readyz` on this loopback port answers 200 now."""
    try:
        with urllib.request.urlopen(f"http://{HOST}:{port}/readyz", timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _start(
    role: Role,
    metrics_port: int,
    deployment: Deployment,
    ports: Ports,
    processes: Processes,
    supervisor: Supervisor,
) -> RunningRole:
    api_port = None if role.api_offset is None else ports.base + role.api_offset
    command = deployment.role_command(
        role, name=role.label, metrics_port=metrics_port, http_port=api_port
    )
    watched = supervisor.watch(processes.start(command))
    return RunningRole(role, watched, metrics_port, api_port)


def _wait_until_ready(running: list[RunningRole], supervisor: Supervisor) -> None:
    deadline = time.monotonic() + READY_SECONDS
    waiting = list(running)
    while waiting:
        supervisor.tick()
        one = waiting[0]
        child = one.watched.child
        if one.watched.ends >= MOST_ENDS_BEFORE_READY:
            raise StackError(f"{child.name} keeps ending: {child.last_words()} (see {child.log})")
        if time.monotonic() > deadline:
            raise StackError(
                f"{child.name} was not ready within {READY_SECONDS:.0f} s: "
                f"{child.last_words()} (see {child.log})"
            )
        if is_ready(one.metrics_port) and (one.api_port is None or is_ready(one.api_port)):
            waiting.pop(0)
        else:
            # A role further down may be the one that keeps ending: look at each in turn.
            waiting.append(waiting.pop(0))
            time.sleep(0.05)
