"""A database without tables: conditions bring their own facts."""

from collections.abc import AsyncIterator

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.postgres.engine import create_engine
from tests.support.postgres import empty_database
from tests.support.stack import Stack


@pytest.fixture(scope="session")
async def engine(stack: Stack) -> AsyncIterator[AsyncEngine]:
    """The profile service's login on an empty database."""
    async with empty_database(stack) as database:
        created = create_engine(database.profile, schema="profile", application="test")
        yield created
        await created.dispose()
