"""The session's broker, and a topic of two partitions for each test."""

import secrets
from collections.abc import AsyncIterator

import pytest
from aiokafka.admin import NewTopic

from shared.kafka.factory import build_admin
from tests.support.stack import Stack


@pytest.fixture(scope="session")
def broker(stack: Stack) -> str:
    """Where the broker is."""
    return stack.kafka


@pytest.fixture
async def topic(broker: str) -> AsyncIterator[str]:
    """A fresh topic of two partitions that takes records up to 2,000 bytes."""
    name = f"hazard.{secrets.token_hex(4)}"
    admin = build_admin(broker, client_id="hazard")
    await admin.start()
    new = NewTopic(
        name=name,
        num_partitions=2,
        replication_factor=1,
        topic_configs={"max.message.bytes": "2000"},
    )
    await admin.create_topics([new])
    yield name
    await admin.delete_topics([name])
    await admin.close()
