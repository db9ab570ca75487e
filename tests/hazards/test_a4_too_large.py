"""A4: after `RecordTooLargeError` the position stands behind a record that nobody was given."""

from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer import fetcher
from aiokafka.errors import RecordTooLargeError
from aiokafka.record.memory_records import MemoryRecords

from shared.errors import Infrastructure
from shared.kafka.records import Place
from tests.hazards.bare import bare_consumer, guarded_consumer, produce


@pytest.fixture
def cut_short(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The first answer with records holds only the beginning of a batch, as a size limit does."""
    cut: list[int] = []

    def records_of(data: bytes) -> Any:
        if data and not cut:
            cut.append(len(data))
            return MemoryRecords(bytes(data[:30]))
        return MemoryRecords(data)

    monkeypatch.setattr(fetcher, "MemoryRecords", records_of)
    return cut


async def test_a4_bare_client_passes_the_record(
    broker: str, topic: str, cut_short: list[int]
) -> None:
    await produce(broker, topic, 3)
    partition = TopicPartition(topic, 0)
    async with bare_consumer(broker, auto_offset_reset="earliest") as consumer:
        consumer.assign([partition])
        with pytest.raises(RecordTooLargeError):
            await consumer.getmany(partition, timeout_ms=5000)
        fetched = await consumer.getmany(partition, timeout_ms=5000)
    assert [record.offset for record in fetched[partition]] == [1, 2]


async def test_a4_guard_goes_back_for_it(broker: str, topic: str, cut_short: list[int]) -> None:
    await produce(broker, topic, 3)
    place = Place(topic, 0)
    seen: list[int] = []
    async with guarded_consumer(broker, topic) as guard:
        await guard.assign({place: 0})
        while guard.expected[place] < 3:
            try:
                spans = await guard.poll([place], 100)
            except Infrastructure:
                continue
            for span in spans:
                seen += [record.offset for record in span.records]
                assert span.gaps == 0
                guard.passed(span)
    assert cut_short
    assert seen == [0, 1, 2]
