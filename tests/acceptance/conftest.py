"""`concert`: everything running, shared by tests that use people of their own. `own_concert`: one
for a single test that kills, breaks or counts everything; its roles are started by the test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shared.contracts.topics import Topics
from tests.acceptance.concert import Concert, concert_on
from tests.support.kafka import new_prefix, standard_topics
from tests.support.postgres import Database, cloned_database
from tests.support.stack import Stack


@pytest.fixture(scope="package")
async def concert(
    stack: Stack, migrated: Database, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Concert]:
    """Every role, running."""
    home = tmp_path_factory.mktemp("concert")
    async with (
        cloned_database(stack, migrated) as database,
        standard_topics(stack.kafka, new_prefix()) as topics,
        concert_on(stack, database, topics, home) as running,
    ):
        await running.start()
        yield running


@pytest.fixture
async def own_concert(
    stack: Stack, topics: Topics, database: Database, tmp_path: Path
) -> AsyncIterator[Concert]:
    """No role is started yet."""
    async with concert_on(stack, database, topics, tmp_path / "roles") as running:
        yield running
