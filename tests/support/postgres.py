"""Databases for tests: one template, migrated once for a session, cloned for each test."""

import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio
import asyncpg
from sqlalchemy.engine import make_url

from deploy.local.migrate import migrate_all
from deploy.local.processes import Processes
from deploy.local.roles import SERVICES, ensure_roles, role_url
from deploy.local.services import Deployment
from tests.support.stack import Stack


@dataclass(frozen=True, slots=True)
class Database:
    """One database: its owner's URL, and that of each service's own login."""

    name: str
    owner_url: str
    urls: Mapping[str, str]

    @property
    def ingest(self) -> str:
        """The ingest service's URL."""
        return self.urls["ingest"]

    @property
    def profile(self) -> str:
        """The profile service's URL."""
        return self.urls["profile"]

    @property
    def orchestrator(self) -> str:
        """The orchestrator's URL."""
        return self.urls["orchestrator"]


@asynccontextmanager
async def empty_database(stack: Stack, name: str | None = None) -> AsyncIterator[Database]:
    """A database with logins, schemas and the test clock, but no service's tables."""
    async with _created(stack, name or f"empty_{secrets.token_hex(6)}") as database:
        await ensure_roles(database.owner_url, stack.home.credentials, shiftable_clock=True)
        yield database


@asynccontextmanager
async def template_database(stack: Stack, processes: Processes) -> AsyncIterator[Database]:
    """The database that tests are cloned from: every service has migrated it.

    `processes` is where the migrations run and log.
    """
    async with empty_database(stack, f"template_{secrets.token_hex(6)}") as database:
        deployment = Deployment(
            home=stack.home,
            kafka=stack.kafka,
            owner_url=database.owner_url,
            service_urls=database.urls,
            profile_url="",
            orchestrator_url="",
        )
        migrate_all(deployment, processes)
        yield database


@asynccontextmanager
async def cloned_database(stack: Stack, template: Database) -> AsyncIterator[Database]:
    """A copy of the template, dropped at the end with whoever is still connected."""
    async with _created(stack, f"test_{secrets.token_hex(6)}", template.name) as database:
        yield database


@asynccontextmanager
async def _created(stack: Stack, name: str, template: str = "template0") -> AsyncIterator[Database]:
    # Names are ours (letters, digits, underscores): nothing from outside comes into these.
    owner = await asyncpg.connect(stack.owner_url)
    try:
        await owner.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        try:
            url = make_url(stack.owner_url).set(database=name)
            owner_url = url.render_as_string(hide_password=False)
            credentials = stack.home.credentials
            urls = {s: role_url(owner_url, credentials, s) for s in SERVICES}
            yield Database(name, owner_url, urls)
        finally:
            await _drop(owner, name)
    finally:
        await owner.close()


async def _drop(owner: asyncpg.Connection, name: str) -> None:
    """Drop a database; a vacuum worker that is just in it may not be ended by us, and soon goes."""
    for patience in (0.2, 0.5, 1.0, 2.0, 5.0):
        try:
            await owner.execute(f"DROP DATABASE {name} WITH (FORCE)")
        except (asyncpg.InsufficientPrivilegeError, asyncpg.ObjectInUseError):
            await anyio.sleep(patience)
        else:
            return
    await owner.execute(f"DROP DATABASE {name} WITH (FORCE)")
