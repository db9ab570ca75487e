"""What was committed stays, whatever its connection went through before."""

import os
import signal
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.errors import Infrastructure
from shared.postgres import engine as engines
from shared.postgres.transaction import transaction
from tests.integration.runtime.toy import SCHEMA
from tests.support.postgres import Database


@pytest.fixture
async def hasty(
    bare_database: Database, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[AsyncEngine]:
    """An engine that waits for a silent server for a short time only."""
    monkeypatch.setattr(engines, "COMMAND_TIMEOUT_S", 1)
    made = engines.create_engine(bare_database.profile, schema=SCHEMA, application="hasty")
    yield made
    await made.dispose()


async def test_what_follows_a_beginning_that_took_too_long_is_kept(hasty: AsyncEngine) -> None:
    async with transaction(hasty) as tx:
        await tx.execute(text("CREATE TABLE said (word text)"))
        pid = (await tx.execute(text("SELECT pg_backend_pid()"))).scalar_one()
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(Infrastructure):
            async with transaction(hasty) as tx:
                await tx.execute(text("SELECT 1"))
    finally:
        os.kill(pid, signal.SIGCONT)
    async with transaction(hasty) as tx:
        await tx.execute(text("INSERT INTO said VALUES ('kept')"))
    await hasty.dispose()
    async with transaction(hasty) as tx:
        found = await tx.execute(text("SELECT word FROM said"))
        assert found.scalars().all() == ["kept"]
