"""One Concert for all clients. `make test-clients` says where they are installed; without it these
tests are none of `make test`, which needs Python alone."""

import os
from collections.abc import AsyncIterator

import pytest

from tests.acceptance.concert import Concert, concert_on
from tests.support.kafka import new_prefix, standard_topics
from tests.support.postgres import Database, cloned_database
from tests.support.stack import Stack

ROLES = ("ingest-collector", "ingest-worker", "profile-worker", "profile-api")

collect_ignore_glob = [] if "CONCERT_CLIENTS" in os.environ else ["test_clients.py"]


@pytest.fixture(scope="module")
async def concert(
    stack: Stack, migrated: Database, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Concert]:
    """The way from a client to the timeline."""
    async with (
        cloned_database(stack, migrated) as database,
        standard_topics(stack.kafka, new_prefix()) as topics,
        concert_on(stack, database, topics, tmp_path_factory.mktemp("clients")) as running,
    ):
        await running.start(*ROLES)
        yield running
