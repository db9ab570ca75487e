"""Bring the whole of Concert up on this machine and keep it up, until Ctrl-C or SIGTERM.

The order is PostgreSQL and Kafka, logins and topics, migrations, roles, the demo; the way down is
the reverse. `run/stack.json` (mode 600) exists while everything is ready, and says where it is.
"""

import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path

from deploy.local.banner import banner
from deploy.local.errors import StackError
from deploy.local.home import CHECKOUT, Home, default_root, exclusive, open_home, write_private
from deploy.local.infra import Infra, running_infra
from deploy.local.migrate import migrate_all
from deploy.local.ports import HOST, Ports, chosen_ports, require_free
from deploy.local.processes import Processes
from deploy.local.progress import Progress
from deploy.local.roles import ensure_roles
from deploy.local.roles_up import running_roles
from deploy.local.services import ROLES, Deployment
from deploy.local.signals import StopRequestedError, stop_on_signals
from deploy.local.supervisor import Supervisor
from deploy.local.topics import create_topics

TICK_SECONDS = 0.1


def run(*, only_infra: bool, parent: int | None) -> int:
    """Everything in the foreground, until a signal; the exit code.

    `only_infra` leaves out all but Kafka and PostgreSQL; with `parent` it also stops when the
    process of that pid is no longer its parent. Raises StackError when something cannot start.
    """
    progress = Progress()
    ports = chosen_ports()
    home = open_home(default_root())
    stop_on_signals()
    try:
        with exclusive(home):
            _Run(home, ports, Processes(home), progress, parent).go(only_infra=only_infra)
    except StopRequestedError:
        pass
    progress.say("stopped")
    return 0


def ready_file(home: Home) -> Path:
    """Says where a ready stack is: pid, Kafka, database, URLs."""
    return home.run / "stack.json"


class _Run:
    """One run of the stack; the parts it needs everywhere."""

    def __init__(
        self, home: Home, ports: Ports, processes: Processes, progress: Progress, parent: int | None
    ) -> None:
        self.home = home
        self.ports = ports
        self.processes = processes
        self.progress = progress
        self.parent = parent
        self.supervisor = Supervisor(processes, progress)

    def go(self, *, only_infra: bool) -> None:
        leftovers = self.processes.alive()
        if leftovers:
            doing = f"ending {', '.join(leftovers)}, left over from a stack that was killed"
            with self.progress.step(doing, "ended"):
                self.processes.end_leftovers()
        ready_file(self.home).unlink(missing_ok=True)
        if not only_infra:
            api_ports = {r.label: self.ports.base + r.api_offset for r in ROLES if r.api_offset}
            require_free(api_ports)
        try:
            with running_infra(self.home, self.ports, self.processes, self.progress) as infra:
                for child in infra.children:
                    self.supervisor.watch(child)
                if only_infra:
                    self._say_where({"kafka": infra.kafka, "owner_url": infra.owner_url})
                    self._keep_up()
                else:
                    self._run_roles(infra)
        finally:
            ready_file(self.home).unlink(missing_ok=True)
            # A signal may come between the start of a process and the note of it in a list.
            self.processes.end_leftovers()

    def _run_roles(self, infra: Infra) -> None:
        deployment = self._prepare(infra)
        args = (deployment, self.ports, self.processes, self.progress, self.supervisor)
        with running_roles(*args):
            if os.environ.get("DEMO") != "0":
                self._run_demo(deployment)
            local = not os.environ.get("CONCERT_DATABASE_URL")
            print(banner(deployment, self.ports, local_database=local), flush=True)
            self._say_where(
                {"kafka": infra.kafka, "owner_url": infra.owner_url}
                | demo_environment(deployment, self.ports)
            )
            self._keep_up()

    def _prepare(self, infra: Infra) -> Deployment:
        """Logins, topics and tables."""
        mode = os.environ.get("CONCERT_MODE") or "test"
        prefix = os.environ.get("CONCERT_TOPIC_PREFIX", "")
        with self.progress.step("preparing logins and topics", "logins and topics are there"):
            credentials = self.home.credentials
            urls = asyncio.run(
                ensure_roles(infra.owner_url, credentials, shiftable_clock=mode == "test")
            )
            asyncio.run(create_topics(infra.kafka, prefix=prefix))
        deployment = Deployment(
            home=self.home,
            kafka=infra.kafka,
            owner_url=infra.owner_url,
            service_urls=urls,
            profile_url=f"http://{HOST}:{self.ports.base + 2}",
            orchestrator_url=f"http://{HOST}:{self.ports.base + 3}",
            ingest_url=f"http://{HOST}:{self.ports.base + 1}",
            topic_prefix=prefix,
            mode=mode,
        )
        with self.progress.step("migrating the database", "database is up to date"):
            migrate_all(deployment, self.processes)
        return deployment

    def _run_demo(self, deployment: Deployment) -> None:
        """The demo talks to the user itself; that it fails does not take the stack down."""
        with self.progress.step("running the demo (DEMO=0 leaves it out)", "demo done"):
            popen = subprocess.Popen(
                DEMO_COMMAND,
                env=os.environ | demo_environment(deployment, self.ports),
                cwd=CHECKOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
            try:
                while popen.poll() is None:
                    self._tick()
            finally:
                popen.terminate()
                popen.wait(10)
        if popen.returncode != 0:
            self.progress.say(f"the demo failed (exit code {popen.returncode}); see above")

    def _say_where(self, told: dict[str, str]) -> None:
        text = json.dumps({"pid": os.getpid(), **told}, indent=2)
        write_private(ready_file(self.home), text + "\n")

    def _keep_up(self) -> None:
        while True:
            self._tick()

    def _tick(self) -> None:
        if self.parent is not None and os.getppid() != self.parent:
            raise StopRequestedError
        self.supervisor.tick()
        time.sleep(TICK_SECONDS)


DEMO_COMMAND = (sys.executable, "-m", "deploy.demo")


def demo_environment(deployment: Deployment, ports: Ports) -> dict[str, str]:
    """What a client of a running Concert needs: where it is, and the home with the tokens."""
    return {
        "CONCERT_HOME": str(deployment.home.root),
        "CONCERT_KAFKA": deployment.kafka,
        "CONCERT_TOPIC_PREFIX": deployment.topic_prefix,
        "CONCERT_COLLECTOR_URL": f"http://{HOST}:{ports.base + 1}",
        "CONCERT_PROFILE_URL": deployment.profile_url,
        "CONCERT_ORCHESTRATOR_URL": deployment.orchestrator_url,
    }


def demo() -> int:
    """Run the demo against the stack that runs on this home; its exit code."""
    home = open_home(default_root())
    if not ready_file(home).exists():
        raise StackError(
            f"no stack is ready on {home.root}: start one with `make run` or `make up`"
        )
    told = json.loads(ready_file(home).read_text())
    client = {name: value for name, value in told.items() if name.startswith("CONCERT_")}
    done = subprocess.run(DEMO_COMMAND, env=os.environ | client, cwd=CHECKOUT, check=False)
    return done.returncode
