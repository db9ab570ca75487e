"""`engine`: a database with what the stream loop and its toy service need."""

from collections.abc import AsyncIterator

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.integration.runtime.toy import prepare
from tests.support.postgres import Database


@pytest.fixture
async def engine(bare_database: Database) -> AsyncIterator[AsyncEngine]:
    """The prepared schema of the toy service."""
    prepared = await prepare(bare_database.profile)
    yield prepared
    await prepared.dispose()
