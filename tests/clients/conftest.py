"""One Concert for all clients, on a Kafka that can be reached through a proxy. `make test-clients`
says where they are installed; without it these tests are none of `make test`, which needs Python
alone."""

import os
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import pytest

from deploy.local.ports import HOST
from tests.acceptance.concert import Concert, concert_on
from tests.clients.cutting import Forwarded
from tests.support.kafka import new_prefix, standard_topics
from tests.support.postgres import Database, cloned_database
from tests.support.processes import free_port
from tests.support.stack import Stack, own_kafka

ROLES = ("ingest-collector", "ingest-worker", "profile-worker", "profile-api")

collect_ignore_glob = [] if "CONCERT_CLIENTS" in os.environ else ["test_clients.py"]


@pytest.fixture(scope="module")
def forwarded(stack: Stack) -> Iterator[Forwarded]:
    """A broker with a listener whose clients are told to connect to a proxy."""
    port = free_port()
    with own_kafka(stack, forwarded=f"{HOST}:{port}") as servers:
        yield Forwarded(servers.stack.kafka, servers.ports.kafka_forwarded, port)


@pytest.fixture(scope="module")
async def concert(
    stack: Stack,
    forwarded: Forwarded,
    migrated: Database,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Concert]:
    """The way from a client to the timeline."""
    own = replace(stack, kafka=forwarded.bootstrap)
    async with (
        cloned_database(own, migrated) as database,
        standard_topics(own.kafka, new_prefix()) as topics,
        concert_on(own, database, topics, tmp_path_factory.mktemp("clients")) as running,
    ):
        await running.start(*ROLES)
        yield running
