"""A migrated orchestrator schema with a clock that can be shifted, emptied for each test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from deploy.local.home import CHECKOUT
from shared.postgres.engine import create_engine
from shared.postgres.migrate import migrate
from tests.integration.orchestrator.delivering import Delivering
from tests.integration.orchestrator.stage import Stage
from tests.support.postgres import empty_database
from tests.support.stack import Stack
from tests.unit.orchestrator.build import ruleset

SCHEMA = "orchestrator"
MIGRATIONS = Path(CHECKOUT) / "services" / SCHEMA / "storage" / "migrations"


@pytest.fixture(scope="module")
async def engine(stack: Stack) -> AsyncIterator[AsyncEngine]:
    async with empty_database(stack) as database:
        made = create_engine(database.orchestrator, schema=SCHEMA, application="test")
        await migrate(made, folder=MIGRATIONS, schema=SCHEMA)
        yield made
        await made.dispose()


@pytest.fixture
async def stage(engine: AsyncEngine) -> Stage:
    fresh = Stage(engine, ruleset())
    await fresh.empty()
    return fresh


@pytest.fixture
async def deliver(stage: Stage, tmp_path: Path) -> AsyncIterator[Delivering]:
    """The role `deliver` without a channel, to be started by the test."""
    delivering = Delivering(stage, tmp_path)
    await delivering.forget_channels()
    yield delivering
    if delivering.tasks:
        await delivering.stop()
