"""Fixtures for tests that need the real thing. Nothing starts before a test asks for it.

`stack` (session): one Kafka and one PostgreSQL. `topic_prefix`, `topics`: names of one's own.
`database`: a clone of a database that every service has migrated. `deployment`, `roles`: role
processes on these. Tests under `unit` and `property` may use none of them.
"""

import signal
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from xdist.workermanage import NodeManager

from deploy.local.home import open_home
from deploy.local.ports import HOST
from deploy.local.processes import Processes
from deploy.local.services import Deployment
from shared.contracts.topics import Topics
from tests.support.dealing import Dealing, put_in_order
from tests.support.kafka import new_prefix, standard_topics
from tests.support.nursery import close_nurseries
from tests.support.postgres import Database, cloned_database, empty_database, template_database
from tests.support.processes import RoleProcesses, free_port
from tests.support.stack import Stack, running_stack

settings.register_profile(
    "any-machine", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)  # how long an example takes says more about the machine than about what is tested
settings.load_profile("any-machine")

PURE_FOLDERS = ("unit", "property")
HERE = Path(__file__).parent
STOP_SECONDS = 60
"""How long a worker may take to stop its servers before it is killed; they would end then too."""


def pytest_configure() -> None:
    """SIGTERM ends a run as Ctrl-C does: fixtures stop what they started, those of workers too."""
    NodeManager.EXIT_TIMEOUT = STOP_SECONDS
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)


def pytest_unconfigure() -> None:
    """Nothing that the tests started outlives them."""
    close_nurseries()


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Dealing:
    """Workers get whole modules or folders, in the order of the collection."""
    config.option.loadscopereorder = False
    return Dealing(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A test of pure code that asks for a server is a mistake, told before anything starts."""
    for item in items:
        folder = item.path.relative_to(HERE).parts[0] if item.path.is_relative_to(HERE) else ""
        if folder in PURE_FOLDERS and "stack" in getattr(item, "fixturenames", ()):
            raise pytest.UsageError(f"{item.nodeid} is in tests/{folder} but needs the stack")
    if hasattr(config, "workerinput"):
        put_in_order(items)


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """Kafka and PostgreSQL for the whole session."""
    with running_stack() as running:
        yield running


@pytest.fixture(scope="session")
async def migrated(
    stack: Stack, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Database]:
    """The template that `database` is cloned from; never to be written to."""
    home = open_home(tmp_path_factory.mktemp("migrate"))
    async with template_database(stack, Processes(home)) as template:
        yield template


@pytest.fixture
async def database(stack: Stack, migrated: Database) -> AsyncIterator[Database]:
    """A fresh database with every service's tables."""
    async with cloned_database(stack, migrated) as clone:
        yield clone


@pytest.fixture
async def bare_database(stack: Stack) -> AsyncIterator[Database]:
    """A fresh database with logins, schemas and clock, but no tables."""
    async with empty_database(stack) as empty:
        yield empty


@pytest.fixture
def topic_prefix() -> str:
    """A topic prefix of one's own."""
    return new_prefix()


@pytest.fixture
async def topics(stack: Stack, topic_prefix: str) -> AsyncIterator[Topics]:
    """The default topics under `topic_prefix`, 8 partitions each, deleted at the end."""
    async with standard_topics(stack.kafka, topic_prefix) as names:
        yield names


@pytest.fixture
def roles(
    stack: Stack, database: Database, topics: Topics, tmp_path: Path
) -> Iterator[RoleProcesses]:
    """Starts role processes on `database` and `topics`; kills what still runs at the end."""
    labels = ("ingest-collector", "profile-api", "orchestrator-api")
    api_ports = {label: free_port() for label in labels}
    deployment = Deployment(
        home=stack.home,
        kafka=stack.kafka,
        owner_url=database.owner_url,
        service_urls=database.urls,
        profile_url=f"http://{HOST}:{api_ports['profile-api']}",
        orchestrator_url=f"http://{HOST}:{api_ports['orchestrator-api']}",
        ingest_url=f"http://{HOST}:{api_ports['ingest-collector']}",
        topic_prefix=topics.prefix,
    )
    processes = RoleProcesses(deployment, open_home(tmp_path / "roles"), api_ports)
    try:
        yield processes
    finally:
        processes.kill_all()
