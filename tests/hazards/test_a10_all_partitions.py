"""A10: `getmany` without partitions means all of them, also those that are not ready."""

import pytest
from aiokafka import TopicPartition

from shared.kafka.records import Place
from tests.hazards.bare import bare_consumer, guarded_consumer, produce


async def test_a10_bare_client_reads_what_was_not_asked_for(broker: str, topic: str) -> None:
    await produce(broker, topic, 3)
    ready: list[TopicPartition] = []
    async with bare_consumer(broker, auto_offset_reset="earliest") as consumer:
        consumer.assign([TopicPartition(topic, 0)])
        fetched = await consumer.getmany(*ready, timeout_ms=5000)
    assert sum(map(len, fetched.values())) == 3


async def test_a10_guard_refuses_to_poll_nothing(broker: str, topic: str) -> None:
    await produce(broker, topic, 3)
    async with guarded_consumer(broker, topic) as guard:
        await guard.assign({Place(topic, 0): 0})
        with pytest.raises(ValueError, match="at least one"):
            await guard.poll([], 100)
        assert guard.expected == {Place(topic, 0): 0}
        (span,) = await guard.poll([Place(topic, 0)], 100)
        assert len(span.records) == 3
