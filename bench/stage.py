"""A Kafka, a PostgreSQL and a Concert of the benchmark's own, started by the code of `make run`."""

import asyncio
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from deploy.local.home import Home, open_home
from deploy.local.infra import running_infra
from deploy.local.migrate import migrate_all
from deploy.local.ports import HOST, Ports, chosen_ports
from deploy.local.processes import Child, Processes
from deploy.local.progress import Progress
from deploy.local.roles import ensure_roles
from deploy.local.services import ROLES, Deployment, Role
from deploy.local.topics import create_topics

READY_SECONDS = 60.0


@dataclass(slots=True)
class Stage:
    """Where everything is, and which servers and roles run."""

    home: Home
    ports: Ports
    deployment: Deployment
    processes: Processes
    servers: Sequence[Child]
    running: dict[str, Child] = field(default_factory=dict)

    @property
    def pids(self) -> dict[str, int]:
        """The process ids of all that runs, by name."""
        servers = {child.name: child.pid for child in self.servers}
        return servers | {label: child.pid for label, child in self.running.items()}

    @property
    def kafka(self) -> str:
        """The broker's address."""
        return self.deployment.kafka

    @property
    def owner_url(self) -> str:
        """The database's owner."""
        return self.deployment.owner_url

    @property
    def admin_token(self) -> str:
        """What the APIs take from an administrator."""
        return (self.home.root / "admin-token").read_text().strip()

    def start(self, service: str, name: str, number: int = 1) -> tuple[Child, str]:
        """Start a role, or the `number`-th process of it; its child and the URL of its metrics
        port."""
        role = next(one for one in ROLES if (one.service, one.name) == (service, name))
        port = next(self.ports.metrics())
        http_port = None if role.api_offset is None else self.ports.base + role.api_offset
        label = role.label if number == 1 else f"{role.label}-{number}"
        command = self.deployment.role_command(
            Role(service, name), name=label, metrics_port=port, http_port=http_port
        )
        child = self.processes.start(command)
        self.running[label] = child
        return child, f"http://{HOST}:{port}"

    async def start_ready(self, service: str, name: str, number: int = 1) -> Child:
        """Start a role and wait until it is ready. Raises RuntimeError when it is not in time."""
        child, url = self.start(service, name, number)
        async with httpx.AsyncClient(timeout=5) as client:
            for _ in range(round(READY_SECONDS / 0.1)):
                try:
                    if (await client.get(f"{url}/readyz")).status_code == httpx.codes.OK:
                        return child
                except httpx.TransportError:
                    pass
                if child.exit_code() is not None:
                    break
                await asyncio.sleep(0.1)
        raise RuntimeError(f"{service} {name} is not ready: {child.last_words()} (see {child.log})")

    def stop_roles(self) -> None:
        """End every role that runs, the last started first."""
        while self.running:
            _, child = self.running.popitem()
            self.processes.stop(child)


@contextmanager
def running_stage(progress: Progress, *, shiftable_clock: bool = False) -> Iterator[Stage]:
    """Everything but the roles, in a temporary folder that is removed at the end."""
    home = open_home(Path(tempfile.mkdtemp(prefix="concert-bench-")))
    ports, processes = chosen_ports(), Processes(home)
    try:
        with running_infra(home, ports, processes, progress) as infra:
            urls = asyncio.run(
                ensure_roles(infra.owner_url, home.credentials, shiftable_clock=shiftable_clock)
            )
            asyncio.run(create_topics(infra.kafka, prefix=""))
            deployment = Deployment(
                home=home,
                kafka=infra.kafka,
                owner_url=infra.owner_url,
                service_urls=urls,
                profile_url=f"http://{HOST}:{ports.base + 2}",
                orchestrator_url=f"http://{HOST}:{ports.base + 3}",
                ingest_url=f"http://{HOST}:{ports.base + 1}",
            )
            migrate_all(deployment, processes)
            stage = Stage(home, ports, deployment, processes, infra.children)
            try:
                yield stage
            finally:
                stage.stop_roles()
    finally:
        shutil.rmtree(home.root, ignore_errors=True)
