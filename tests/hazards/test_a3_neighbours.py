"""A3: `getmany` drops what it took from one partition when the batch of another one raises."""

from collections.abc import Iterator
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import PartitionRecords
from aiokafka.errors import CorruptRecordException

from shared.errors import Infrastructure
from shared.kafka.guard import GuardedConsumer
from shared.kafka.records import Place
from tests.hazards.bare import bare_consumer, guarded_consumer, produce, until_fetched

GOOD, BAD = 0, 1


@pytest.fixture
def corrupt(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The first reading of partition 1 raises as a wrong checksum does; the list counts them."""
    raised: list[int] = []
    unpack = PartitionRecords._unpack_records

    def unpack_or_raise(self: Any) -> Iterator[Any]:
        if self._tp.partition == BAD and not raised:
            raised.append(1)
            raise CorruptRecordException("Invalid CRC")
        yield from unpack(self)

    monkeypatch.setattr(PartitionRecords, "_unpack_records", unpack_or_raise)
    return raised


async def two_partitions(broker: str, topic: str) -> list[TopicPartition]:
    await produce(broker, topic, 5)
    await produce(broker, topic, 5, partition=BAD)
    return [TopicPartition(topic, GOOD), TopicPartition(topic, BAD)]


async def test_a3_bare_client_loses_the_neighbours_records(
    broker: str, topic: str, corrupt: list[int]
) -> None:
    good, bad = await two_partitions(broker, topic)
    async with bare_consumer(broker, auto_offset_reset="earliest") as consumer:
        consumer.assign([good, bad])
        await until_fetched(consumer, [good, bad])
        consumer._fetcher._records.move_to_end(bad)
        with pytest.raises(CorruptRecordException):
            await consumer.getmany(good, bad, timeout_ms=2000)
        assert await consumer.position(good) == 5
        assert good not in await consumer.getmany(good, timeout_ms=500)


async def test_a3_guard_reads_everything_again(broker: str, topic: str, corrupt: list[int]) -> None:
    good, bad = await two_partitions(broker, topic)
    async with guarded_consumer(broker, topic) as guard:
        await guard.assign({Place(topic, GOOD): 0, Place(topic, BAD): 0})
        assert guard._consumer is not None
        await until_fetched(guard._consumer, [good, bad])
        guard._consumer._fetcher._records.move_to_end(bad)
        seen = await read_all(guard)
    assert corrupt == [1]
    assert seen == {GOOD: [0, 1, 2, 3, 4], BAD: [0, 1, 2, 3, 4]}


async def read_all(guard: GuardedConsumer) -> dict[int, list[int]]:
    """Offsets by partition, until both are at 5; an error is met by polling again."""
    seen: dict[int, list[int]] = {GOOD: [], BAD: []}
    for _ in range(100):
        try:
            spans = await guard.poll(list(guard.expected), 100)
        except Infrastructure:
            continue
        for span in spans:
            seen[span.place.partition] += [record.offset for record in span.records]
            guard.passed(span)
        if all(offset == 5 for offset in guard.expected.values()):
            break
    return seen
