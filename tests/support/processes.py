"""Role processes for tests: start them as a deployment does, kill, freeze and thaw them.

`CONCERT_CRASH=<point>:<nth>` makes a role SIGKILL itself at a crash point, `CONCERT_PAUSE` makes
it SIGSTOP itself; give them in `extra`.
"""

import os
import signal
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import httpx
import psutil

from deploy.local.home import Home
from deploy.local.ports import HOST
from deploy.local.processes import Command, Processes, tail
from deploy.local.services import Deployment, Role
from tests.support.eventually import eventually
from tests.support.nursery import can_fork, fork_role

READY_SECONDS = 180.0


class Running(Protocol):
    """What a process handle offers, a forked role's or that of `subprocess`."""

    @property
    def pid(self) -> int: ...

    def poll(self) -> int | None: ...

    def wait(self, timeout: float, /) -> int: ...


@dataclass(slots=True)
class RoleProcess:
    """One role that a test started."""

    name: str
    process: Running
    output: Path
    metrics_url: str
    api_url: str | None

    @property
    def pid(self) -> int:
        """The process id."""
        return self.process.pid

    def exit_code(self) -> int | None:
        """How it ended (negative: the signal), or None while it runs."""
        return self.process.poll()

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        os.kill(self.pid, signal.SIGKILL)
        self.process.wait(10)

    def terminate(self, patience: float = 30.0) -> int:
        """SIGTERM, and wait for a clean end; the exit code."""
        os.kill(self.pid, signal.SIGTERM)
        return self.process.wait(patience)

    def freeze(self) -> None:
        """SIGSTOP."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        os.kill(self.pid, signal.SIGCONT)

    def is_frozen(self) -> bool:
        """Whether it is stopped, for example at its own CONCERT_PAUSE point."""
        return bool(psutil.Process(self.pid).status() == psutil.STATUS_STOPPED)

    def log(self, size: int = 1_000_000) -> str:
        """The end of what it wrote, at most `size` bytes."""
        return tail(self.output, size)

    async def is_ready(self) -> bool:
        """Whether `/readyz` answers 200 now (on the API port too, if it has one)."""
        urls = [self.metrics_url] if self.api_url is None else [self.metrics_url, self.api_url]
        async with httpx.AsyncClient(timeout=5) as client:
            for url in urls:
                try:
                    if (await client.get(f"{url}/readyz")).status_code != httpx.codes.OK:
                        return False
                except httpx.TransportError:
                    return False
        return True

    async def until_ready(self, within: float = READY_SECONDS) -> None:
        """Wait until it is ready; fails with its log when it ends or takes too long."""

        async def ready_or_ended() -> bool:
            return self.exit_code() is not None or await self.is_ready()

        await eventually(ready_or_ended, within=within, what=f"{self.name} is ready")
        if self.exit_code() is not None:
            raise AssertionError(f"{self.name} ended ({self.exit_code()}):\n{self.log(4000)}")

    async def metrics(self) -> str:
        """What `/metrics` says now."""
        async with httpx.AsyncClient(timeout=5) as client:
            return (await client.get(f"{self.metrics_url}/metrics")).raise_for_status().text


@dataclass(slots=True)
class RoleProcesses:
    """Starts roles of one deployment, and stops all of them at the end of a test."""

    deployment: Deployment
    home: Home
    api_ports: Mapping[str, int]
    """The port of each API role, by label, as the deployment's URLs say."""
    started: list[RoleProcess] = field(default_factory=list)

    def start(
        self, service: str, role: str, *, extra: Mapping[str, str] | None = None
    ) -> RoleProcess:
        """Start `python -m services.<service> <role>`; does not wait until it is ready."""
        label = f"{service}-{role}"
        http_port = self.api_ports.get(label)
        metrics_port = free_port()
        command = self.deployment.role_command(
            Role(service, role),
            name=f"{label}-{len(self.started) + 1}",
            metrics_port=metrics_port,
            http_port=http_port,
            extra=extra,
        )
        api_url = None if http_port is None else f"http://{HOST}:{http_port}"
        return self.run(command, metrics_port, api_url, forked=can_fork())

    def run(
        self, command: Command, metrics_port: int, api_url: str | None, *, forked: bool = False
    ) -> RoleProcess:
        """Start a command that is, or stands for, a role; `forked` only for a role itself."""
        output = self.home.logs / f"{command.name}.log"
        process = RoleProcess(
            name=command.name,
            process=fork_role(command, output)
            if forked
            else Processes(self.home).start(command).popen,
            output=output,
            metrics_url=f"http://{HOST}:{metrics_port}",
            api_url=api_url,
        )
        self.started.append(process)
        return process

    async def start_ready(
        self, service: str, role: str, *, extra: Mapping[str, str] | None = None
    ) -> RoleProcess:
        """Start a role and wait until it is ready."""
        process = self.start(service, role, extra=extra)
        await process.until_ready()
        return process

    def kill_all(self) -> None:
        """End whatever still runs."""
        for process in self.started:
            if process.exit_code() is None:
                process.kill()


def free_port() -> int:
    """A loopback port that nothing listens on now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port
