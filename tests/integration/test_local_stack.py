"""The local stack itself: logins, clock and topics, and what it says when something is wrong.

How servers and roles are started, stopped and started again is in `test_local_stack_life.py`.
"""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from deploy.local.errors import StackError
from deploy.local.home import CHECKOUT
from deploy.local.ports import HOST, Ports
from deploy.local.roles import ensure_roles
from deploy.local.topics import create_topics
from shared.contracts.topics import Topics
from tests.support.kafka import Message, end_offsets, publish, read_all
from tests.support.postgres import Database
from tests.support.stack import RUN_INFRA, Stack, free_base, stack_environment

TWO_MEBIBYTES = 2 * 1024 * 1024

FORBIDDEN = (
    "CREATE TABLE ingest.mine (n int)",
    "CREATE TABLE public.mine (n int)",
    "CREATE TABLE clock.mine (n int)",
    "CREATE SCHEMA mine",
    "SELECT * FROM ingest.theirs",
    "UPDATE clock.shift SET advance = '1 hour'",
    "SET ROLE concert_ingest",
    "SET ROLE concert",
)


@pytest.mark.parametrize("statement", FORBIDDEN)
async def test_a_login_reaches_only_its_own_schema(bare_database: Database, statement: str) -> None:
    owner = await asyncpg.connect(bare_database.owner_url)
    await owner.execute("CREATE TABLE ingest.theirs (n int)")
    await owner.close()
    profile = await asyncpg.connect(bare_database.profile)
    try:
        await profile.execute("CREATE TABLE profile.mine (n int)")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await profile.execute(statement)
    finally:
        await profile.close()


async def test_every_service_sees_the_shifted_clock(bare_database: Database) -> None:
    profile = await asyncpg.connect(bare_database.profile)
    orchestrator = await asyncpg.connect(bare_database.orchestrator)
    ahead = "SELECT extract(epoch FROM clock.now() - clock_timestamp())::float"
    try:
        assert abs(await profile.fetchval(ahead)) < 1
        await orchestrator.execute("SELECT clock.advance('PT12H')")
        await orchestrator.execute("SELECT clock.advance('PT1H')")
        assert abs(await profile.fetchval(ahead) - 13 * 3600) < 1
        with pytest.raises(asyncpg.CheckViolationError):
            await orchestrator.execute("SELECT clock.advance('P-1D')")
        await orchestrator.execute("SELECT clock.reset()")
        assert abs(await profile.fetchval(ahead)) < 1
    finally:
        await profile.close()
        await orchestrator.close()


async def test_the_clock_goes_on_inside_a_transaction(bare_database: Database) -> None:
    profile = await asyncpg.connect(bare_database.profile)
    try:
        async with profile.transaction():
            first = await profile.fetchval("SELECT clock.now()")
            assert await profile.fetchval("SELECT clock.now()") > first
    finally:
        await profile.close()


async def test_nothing_can_shift_the_clock_of_production(
    stack: Stack, bare_database: Database
) -> None:
    credentials = stack.home.credentials
    await ensure_roles(bare_database.owner_url, credentials, shiftable_clock=False)
    profile = await asyncpg.connect(bare_database.profile)
    try:
        for statement in ("SELECT clock.advance('PT1H')", "SELECT clock.reset()"):
            with pytest.raises(asyncpg.UndefinedFunctionError):
                await profile.execute(statement)
        assert await profile.fetchval("SELECT clock.now() - clock_timestamp() < '1 second'")
    finally:
        await profile.close()


async def test_making_the_logins_again_changes_nothing(
    stack: Stack, bare_database: Database
) -> None:
    again = await ensure_roles(
        bare_database.owner_url, stack.home.credentials, shiftable_clock=True
    )
    assert again == bare_database.urls
    for url in again.values():
        await (await asyncpg.connect(url)).close()


async def test_an_owner_that_cannot_make_logins_is_told_so(
    stack: Stack, bare_database: Database, tmp_path: Path
) -> None:
    with pytest.raises(StackError, match="CREATEROLE"):
        await ensure_roles(bare_database.profile, stack.home.credentials, shiftable_clock=True)
    nobody = bare_database.owner_url.replace("concert:", "nobody_here:")
    with pytest.raises(StackError, match=r"cannot connect to postgresql://nobody_here:\*\*\*@"):
        await ensure_roles(nobody, tmp_path, shiftable_clock=True)


async def test_topics_take_the_largest_record_and_are_made_once(
    stack: Stack, topics: Topics
) -> None:
    assert await create_topics(stack.kafka, prefix=topics.prefix) == 0
    largest = os.urandom(TWO_MEBIBYTES - 1024)
    topic = topics.channel("pos")
    await publish(stack.kafka, [Message(topic, largest, b"k"), Message(topic, None, b"k")])
    assert [record.value for record in await read_all(stack.kafka, topic)] == [largest, None]
    ends = await end_offsets(stack.kafka, topic)
    assert len(ends) == 8
    assert sum(ends.values()) == 2


def refusal(home: Path, base: int, **more: str) -> str:
    """What `run` says when it refuses to start, after checking that it says just one line."""
    with subprocess.Popen(
        [*RUN_INFRA, f"--with-parent={os.getpid()}"],
        cwd=CHECKOUT,
        env=stack_environment(home, base) | more,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        try:
            said, error = running.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            running.terminate()
            raise
    assert running.returncode == 1
    assert said == ""
    assert error.startswith("concert: ")
    assert error.count("\n") == 1
    return error


@pytest.fixture
def new_home() -> Iterator[Path]:
    """A home of one's own, where the account that PostgreSQL runs under can reach it."""
    with tempfile.TemporaryDirectory(prefix="concert-test-") as folder:
        yield Path(folder)


def test_a_busy_port_is_named(new_home: Path) -> None:
    ports = Ports(free_base())
    with socket.create_server((HOST, ports.postgres)):
        assert f"port {ports.postgres} (PostgreSQL) is in use" in refusal(new_home, ports.base)


def test_a_port_base_that_is_no_port_is_named(new_home: Path) -> None:
    said = refusal(new_home, 0, CONCERT_PORT_BASE="http")
    assert "CONCERT_PORT_BASE=http is not usable" in said


def test_a_second_stack_on_the_same_home_is_refused(stack: Stack) -> None:
    assert f"already running on {stack.home.root}" in refusal(stack.home.root, free_base())


def test_a_half_made_data_folder_is_named(new_home: Path) -> None:
    base = free_base()
    (new_home / "kafka" / "data").mkdir(parents=True)
    assert "kafka/data is not a whole Kafka data folder" in refusal(new_home, base)
    shutil.rmtree(new_home / "kafka")
    (new_home / "postgres" / "data").mkdir(parents=True)
    assert "postgres/data is not a whole PostgreSQL data folder" in refusal(new_home, base)
    (new_home / "postgres" / "data" / "global").mkdir()
    (new_home / "postgres" / "data" / "global" / "pg_control").touch()
    (new_home / "postgres" / "data" / "PG_VERSION").write_text("17\n")
    assert "postgres/data is of PostgreSQL 17, not 18" in refusal(new_home, base)


def test_one_data_folder_without_the_other_is_refused(new_home: Path) -> None:
    (new_home / "made").touch()
    (new_home / "postgres" / "data").mkdir(parents=True)
    said = refusal(new_home, free_base())
    assert "kafka/data is gone" in said
    assert "belong together" in said
