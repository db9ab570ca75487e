"""What the guard believes when a client's answers do not follow on from each other."""

from collections.abc import Iterable
from typing import Any

import pytest
from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaConnectionError

from shared.errors import Infrastructure
from shared.kafka import guard
from shared.kafka.guard import GuardedConsumer
from shared.kafka.records import Place, Span

TP = TopicPartition("touchpoints", 0)
PLACE = Place("touchpoints", 0)


class ScriptedClient:
    """Answers polls in turn: offsets of records, or an error; a position may run ahead of them."""

    def __init__(self, answers: Iterable[list[int] | Exception]) -> None:
        self.answers = iter(answers)
        self.standing = 0
        self.sought: list[int] = []

    async def start(self) -> None: ...

    def assign(self, partitions: list[TopicPartition]) -> None: ...

    def seek(self, tp: TopicPartition, offset: int) -> None:
        self.standing = offset
        self.sought.append(offset)

    async def position(self, tp: TopicPartition) -> int:
        return self.standing

    async def getmany(self, *tps: TopicPartition, **_: Any) -> dict[Any, list[Any]]:
        answer = next(self.answers)
        if isinstance(answer, Exception):
            self.standing += 100
            raise answer
        self.standing = answer[-1] + 1 if answer else self.standing
        return {TP: [_record(offset) for offset in answer]}


def _record(offset: int) -> ConsumerRecord[bytes, bytes]:
    return ConsumerRecord(TP.topic, TP.partition, offset, 0, 0, b"k", b"v", None, 1, 1, ())


async def guarded(
    monkeypatch: pytest.MonkeyPatch, answers: Iterable[list[int] | Exception]
) -> tuple[GuardedConsumer, ScriptedClient]:
    """A guard that expects offset 3, over a client with these answers."""
    client = ScriptedClient(answers)
    monkeypatch.setattr(guard, "build_consumer", lambda *_, **__: client)
    consumer = GuardedConsumer("nowhere", group="g", client_id="c")
    await consumer.assign({PLACE: 3})
    return consumer, client


async def polled(consumer: GuardedConsumer) -> list[tuple[int, int, int]]:
    """Start, end and number of records of each span of the next poll, which is then passed."""
    spans: list[Span] = await consumer.poll([PLACE], 100)
    for span in spans:
        consumer.passed(span)
    return [(span.start, span.end, len(span.records)) for span in spans]


async def test_records_that_were_skipped_once_are_read_after_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    consumer, client = await guarded(monkeypatch, [[5, 6], [3, 4, 5, 6]])
    assert await polled(consumer) == []
    assert client.sought == [3, 3]
    assert await polled(consumer) == [(3, 7, 4)]


async def test_a_hole_that_is_there_again_is_believed_and_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    consumer, _ = await guarded(monkeypatch, [[5, 6], [5, 6], [7]])
    assert await polled(consumer) == []
    assert await polled(consumer) == [(3, 7, 2)]
    assert await polled(consumer) == [(7, 8, 1)]


async def test_another_hole_than_the_suspected_one_is_looked_at_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    consumer, _ = await guarded(monkeypatch, [[5], [4, 5], [4, 5]])
    assert await polled(consumer) == []
    assert await polled(consumer) == []
    assert await polled(consumer) == [(3, 6, 2)]


async def test_a_position_that_moved_without_a_record_is_a_hole_the_second_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    consumer, client = await guarded(monkeypatch, [[], []])
    client.standing = 9
    assert await polled(consumer) == []
    client.standing = 9
    assert await polled(consumer) == [(3, 9, 0)]


async def test_an_error_moves_nothing_and_records_before_the_expected_one_are_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    consumer, client = await guarded(monkeypatch, [KafkaConnectionError(), [1, 2, 3, 4]])
    with pytest.raises(Infrastructure):
        await consumer.poll([PLACE], 100)
    assert client.standing == 3
    assert await polled(consumer) == [(3, 5, 2)]
