"""A quota of each partition: a backlog does not take the place of others in a poll."""

from typing import Any

import pytest
from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaConnectionError

from shared.errors import Infrastructure
from shared.kafka import guard
from shared.kafka.guard import GuardedConsumer
from shared.kafka.records import Place

PLACES = [Place("touchpoints", number) for number in range(3)]


class FullClient:
    """Has records of some partitions, and empties one after the other as aiokafka does."""

    def __init__(self, has: dict[int, int]) -> None:
        self.ends = has
        self.positions = dict.fromkeys(range(len(PLACES)), 0)
        self.fails_on: int | None = None
        self.asked = 0

    async def start(self) -> None: ...

    def assign(self, partitions: list[TopicPartition]) -> None: ...

    def seek(self, tp: TopicPartition, offset: int) -> None:
        self.positions[tp.partition] = offset

    def highwater(self, tp: TopicPartition) -> int | None:
        return self.ends.get(tp.partition)

    async def position(self, tp: TopicPartition) -> int:
        return self.positions[tp.partition]

    async def getmany(
        self, *tps: TopicPartition, timeout_ms: int, max_records: int
    ) -> dict[TopicPartition, list[Any]]:
        self.asked += 1
        found = {}
        for number, end in self.ends.items():
            tp = TopicPartition("touchpoints", number)
            start = self.positions[number]
            stop = min(end, start + max_records)
            if tp in tps and stop > start:
                if number == self.fails_on:
                    raise KafkaConnectionError
                found[tp] = [_record(tp, offset) for offset in range(start, stop)]
                self.positions[number] = stop
                max_records -= stop - start
        return found


def _record(tp: TopicPartition, offset: int) -> ConsumerRecord[bytes, bytes]:
    return ConsumerRecord(tp.topic, tp.partition, offset, 0, 0, b"k", b"v", None, 1, 1, ())


async def guarded(
    monkeypatch: pytest.MonkeyPatch, has: dict[int, int]
) -> tuple[GuardedConsumer, FullClient]:
    client = FullClient(has)
    monkeypatch.setattr(guard, "build_consumer", lambda *_, **__: client)
    consumer = GuardedConsumer("nowhere", group="g", client_id="c")
    await consumer.assign(dict.fromkeys(PLACES, 0))
    return consumer, client


async def polled(
    consumer: GuardedConsumer, max_records: int, quota: int | None
) -> dict[int, tuple[int, int]]:
    spans = await consumer.poll(PLACES, max_records, quota=quota)
    for span in spans:
        assert [record.offset for record in span.records] == list(range(span.start, span.end))
        consumer.passed(span)
    return {span.place.partition: (span.start, span.end) for span in spans}


async def test_every_partition_has_its_quota(monkeypatch: pytest.MonkeyPatch) -> None:
    consumer, _ = await guarded(monkeypatch, {1: 900, 0: 15, 2: 3})
    assert await polled(consumer, 100, 10) == {0: (0, 10), 1: (0, 10), 2: (0, 3)}
    assert await polled(consumer, 100, 10) == {0: (10, 15), 1: (10, 20)}
    assert await polled(consumer, 100, 40) == {1: (20, 60)}


async def test_a_quota_that_is_met_by_two_together_is_filled_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    consumer, _ = await guarded(monkeypatch, {0: 6, 1: 20, 2: 20})
    assert await polled(consumer, 100, 10) == {0: (0, 6), 1: (0, 10), 2: (0, 10)}


async def test_quotas_stay_within_the_limit_of_a_poll(monkeypatch: pytest.MonkeyPatch) -> None:
    consumer, _ = await guarded(monkeypatch, {2: 900, 1: 900, 0: 900})
    assert await polled(consumer, 25, 10) == {2: (0, 10), 0: (0, 10), 1: (0, 5)}


async def test_one_question_is_enough_for_what_is_less_than_a_quota_and_for_a_whole_batch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    consumer, client = await guarded(monkeypatch, {1: 900, 0: 4, 2: 3})
    assert await polled(consumer, 907, 1000) == {0: (0, 4), 1: (0, 900), 2: (0, 3)}
    client.ends = {1: 1900, 0: 8}
    assert await polled(consumer, 900, None) == {1: (900, 1800)}
    assert client.asked == 2


async def test_an_error_while_filling_up_moves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    consumer, client = await guarded(monkeypatch, {1: 900, 0: 15, 2: 3})
    client.fails_on = 2
    with pytest.raises(Infrastructure):
        await consumer.poll(PLACES, 100, quota=10)
    assert client.positions == {0: 0, 1: 0, 2: 0}
    client.fails_on = None
    assert await polled(consumer, 100, 10) == {0: (0, 10), 1: (0, 10), 2: (0, 3)}


async def test_what_waits_is_what_is_known_and_not_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    consumer, _ = await guarded(monkeypatch, {1: 900})
    assert [consumer.waiting(place) for place in PLACES] == [0, 900, 0]
    await polled(consumer, 100, 10)
    assert [consumer.waiting(place) for place in PLACES] == [0, 890, 0]
