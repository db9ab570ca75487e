"""What a topic kept of a period, as one stream: always in the same order, and nothing left out."""

from collections.abc import AsyncIterator

import pytest
from aiokafka import TopicPartition
from aiokafka.admin.records_to_delete import RecordsToDelete

from shared.contracts.topics import Topics
from shared.kafka.factory import build_admin
from shared.kafka.recorded import Recorded
from shared.kafka.records import Place
from tests.support.kafka import Message, publish
from tests.support.stack import Stack

T0 = 1_760_000_000_000
STAMPS = {0: [0, 5, 3, 9], 1: [1, 3, 3, 20], 2: [], 3: [2]}
"""By partition: when its records were stamped, in milliseconds after T0; one runs back."""


@pytest.fixture
async def recorded(stack: Stack, topics: Topics) -> AsyncIterator[Recorded]:
    topic = topics.profile_updates
    messages = [
        Message(topic, f"{partition}:{at}".encode(), partition=partition, timestamp_ms=T0 + at)
        for partition, stamps in STAMPS.items()
        for at in stamps
    ]
    await publish(stack.kafka, messages)
    places = tuple(Place(topic, partition) for partition in range(8))
    reader = Recorded(stack.kafka, client_id="test", places=places)
    yield reader
    await reader.stop()


async def read(recorded: Recorded, start: int, end: int, fetch: int) -> list[tuple[int, str]]:
    bounds = await recorded.bounds(T0 + start, T0 + end)
    found = [
        (at - T0, (record.value or b"").decode())
        async for batch in recorded.read(bounds, fetch)
        for at, record in batch
    ]
    assert len(found) == bounds.total
    return found


@pytest.mark.parametrize("fetch", [1, 3, 500])
async def test_records_come_by_time_then_partition_then_offset(
    recorded: Recorded, fetch: int
) -> None:
    everything = [
        (0, "0:0"), (1, "1:1"), (2, "3:2"), (3, "1:3"), (3, "1:3"), (5, "0:5"), (5, "0:3"),
        (9, "0:9"), (20, "1:20"),
    ]  # fmt: skip
    assert await read(recorded, 0, 100, fetch) == everything
    assert await read(recorded, 1, 9, fetch) == everything[1:7]
    assert await read(recorded, 200, 300, fetch) == []


async def test_what_is_kept_is_what_the_topic_keeps_until_something_is_deleted(
    recorded: Recorded, stack: Stack, topics: Topics
) -> None:
    now = T0 + 1_000
    assert await recorded.kept_since(500, now) == T0, "nothing was deleted yet"
    assert await recorded.kept_since(5_000, now) == now - 5_000
    admin = build_admin(stack.kafka, client_id="test")
    await admin.start()
    try:
        place = TopicPartition(topics.profile_updates, 1)
        await admin.delete_records({place: RecordsToDelete(before_offset=1)})
        assert await recorded.kept_since(5_000, now) == T0 + 3
        await admin.delete_records({place: RecordsToDelete(before_offset=4)})
        assert await recorded.kept_since(5_000, now) == now
    finally:
        await admin.close()
