"""The life of the local stack: start, kill, start again, stop; nothing lost or left behind."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import httpx
import psutil
import pytest

from deploy.local.home import CHECKOUT, Home
from deploy.local.ports import HOST, Ports
from deploy.local.processes import Processes
from deploy.local.services import ROLES
from tests.support.eventually import eventually
from tests.support.kafka import Message, create_topic, publish, read_all
from tests.support.stack import free_base, stack_environment

# Several cold starts each; on a machine that does much else a start takes minutes.
pytestmark = pytest.mark.timeout(900)


@dataclass(frozen=True, slots=True)
class Local:
    """A local stack that a test starts and stops by its command line."""

    home: Home
    ports: Ports

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `python -m deploy.local …` on this stack to its end."""
        return subprocess.run(
            [sys.executable, "-m", "deploy.local", *arguments],
            cwd=CHECKOUT,
            env=stack_environment(self.home.root, self.ports.base) | {"DEMO": "0"},
            capture_output=True,
            text=True,
            timeout=500,
            check=False,
        )

    def told(self) -> dict[str, str]:
        """What the ready stack says of itself."""
        told: dict[str, str] = json.loads((self.home.run / "stack.json").read_text())
        return told

    def alive(self) -> dict[str, int]:
        """Name and pid of each of its processes."""
        return Processes(self.home).alive()


@pytest.fixture
def local() -> Iterator[Local]:
    """A stack at a home of its own; not started."""
    root = Path(tempfile.mkdtemp(prefix="concert-test-"))
    stack = Local(Home(root), Ports(free_base()))
    try:
        yield stack
    finally:
        stack.command("down")
        shutil.rmtree(root)


def gone(pid: int) -> bool:
    """Whether nothing runs under this pid (a dead orphan may stay as a zombie in a container)."""
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


async def test_data_survives_a_stop_a_kill_and_the_next_start(local: Local) -> None:
    up = local.command("up", "--only-infra")
    assert up.returncode == 0, up.stdout + up.stderr
    kafka, owner_url = local.told()["kafka"], local.told()["owner_url"]
    await create_topic(kafka, "kept", partitions=1)
    await publish(kafka, [Message("kept", b"first")])
    owner = await asyncpg.connect(owner_url)
    await owner.execute("CREATE TABLE kept (word text)")
    await owner.execute("INSERT INTO kept VALUES ('first')")
    await owner.close()

    # The stack itself is killed: its servers stay, and the next start ends them first.
    before = local.alive()
    os.kill(int(local.told()["pid"]), signal.SIGKILL)
    up = local.command("up", "--only-infra")
    assert up.returncode == 0, up.stdout + up.stderr
    assert "left over from a stack that was killed" in up.stdout
    assert all(gone(pid) for pid in before.values())
    assert local.told()["owner_url"] == owner_url
    assert [record.value for record in await read_all(kafka, "kept")] == [b"first"]
    owner = await asyncpg.connect(owner_url)
    assert await owner.fetchval("SELECT word FROM kept") == "first"
    assert await owner.fetchval("SHOW fsync") == "on"
    await owner.close()

    running = local.alive()
    assert set(running) == {"kafka", "postgres"}
    down = local.command("down")
    assert (down.returncode, down.stdout) == (0, "stopped\n")
    assert all(gone(pid) for pid in running.values())
    assert local.command("status").returncode == 1


async def test_the_whole_stack_comes_up_mends_itself_and_goes_down(local: Local) -> None:
    up = local.command("up")
    assert up.returncode == 0, up.stdout + up.stderr
    for mode, path in ((0o600, "admin-token"), (0o700, "credentials"), (0o600, "run/stack.json")):
        assert (local.home.root / path).stat().st_mode & 0o777 == mode
    token = (local.home.root / "admin-token").read_text().strip()
    assert f"admin token: {token}\n" in up.stdout
    assert f"http://{HOST}:{local.ports.base + 3}" in up.stdout

    targets = json.loads((local.home.run / "targets.json").read_text())
    assert [(t["labels"]["service"], t["labels"]["role"]) for t in targets] == [
        (role.service, role.name) for role in ROLES
    ]
    async with httpx.AsyncClient(timeout=10) as client:
        for target in targets:
            address = target["targets"][0]
            assert int(address.rpartition(":")[2]) >= local.ports.base + 1101
            for path in ("livez", "readyz", "metrics"):
                assert (await client.get(f"http://{address}/{path}")).status_code == httpx.codes.OK
        for role in ROLES:
            if role.api_offset is not None:
                url = f"http://{HOST}:{local.ports.base + role.api_offset}/readyz"
                assert (await client.get(url)).status_code == httpx.codes.OK

        before = local.alive()
        os.kill(before["profile-worker"], signal.SIGKILL)
        killed = time.monotonic()
        await eventually(
            lambda: local.alive().get("profile-worker", before["profile-worker"]),
            until=lambda pid: pid != before["profile-worker"],
            within=5,
            what="the killed role is started again",
        )
        assert time.monotonic() - killed < 5
        assert "profile-worker ended (by SIGKILL)" in (local.home.logs / "stack.log").read_text()

    running = local.alive()
    assert len(running) == len(ROLES) + 2
    down = local.command("down")
    assert (down.returncode, down.stdout) == (0, "stopped\n")
    assert all(gone(pid) for pid in running.values())
    said = (local.home.logs / "stack.log").read_text()
    assert said.index("roles stopped") < said.index("Apache Kafka stopped")
    assert said.index("Apache Kafka stopped") < said.index("PostgreSQL stopped")
    assert "was killed" not in said
