"""Databases with the profile service's tables, and workers on them."""

from collections.abc import AsyncIterator

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from services.profile.storage.tables import MIGRATIONS, SCHEMA
from shared.postgres.engine import create_engine
from shared.postgres.migrate import migrate
from tests.integration.profile.worker import Worker
from tests.support.postgres import Database, cloned_database, empty_database
from tests.support.stack import Stack


@pytest.fixture(scope="session")
async def profile_template(stack: Stack) -> AsyncIterator[Database]:
    """The database that those of the tests are copies of; never to be written to."""
    async with empty_database(stack) as empty:
        engine = create_engine(empty.profile, schema=SCHEMA, application="test")
        await migrate(engine, folder=MIGRATIONS, schema=SCHEMA)
        await engine.dispose()
        yield empty


@pytest.fixture
async def engine(stack: Stack, profile_template: Database) -> AsyncIterator[AsyncEngine]:
    """The profile service's own login on a fresh database."""
    async with cloned_database(stack, profile_template) as database:
        created = create_engine(database.profile, schema=SCHEMA, application="test")
        yield created
        await created.dispose()


@pytest.fixture
def worker(engine: AsyncEngine) -> Worker:
    """The handler of the profile worker, without Kafka."""
    return Worker(engine)
