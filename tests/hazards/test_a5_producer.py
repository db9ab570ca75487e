"""A5: one refused batch makes an idempotent producer useless for that partition, for ever."""

import pytest
from aiokafka.errors import KafkaError, MessageSizeTooLargeError, OutOfOrderSequenceNumber

from shared.errors import Infrastructure
from shared.kafka.messages import Message
from shared.kafka.publisher import Publisher
from tests.hazards.bare import bare_producer

TOO_LARGE = b"x" * 5_000


async def test_a5_bare_producer_never_recovers(broker: str, topic: str) -> None:
    async with bare_producer(broker, enable_idempotence=True, acks="all") as producer:
        await producer.send_and_wait(topic, b"before", partition=0)
        with pytest.raises(MessageSizeTooLargeError):
            await producer.send_and_wait(topic, TOO_LARGE, partition=0)
        for _ in range(3):
            with pytest.raises(KafkaError) as refused:
                await producer.send_and_wait(topic, b"after", partition=0)
            assert isinstance(refused.value, OutOfOrderSequenceNumber)


async def test_a5_publisher_takes_a_new_producer(broker: str, topic: str) -> None:
    publisher = Publisher(broker, client_id="hazard")
    try:
        await publisher.publish([((topic, 0), [Message(None, b"before", ())])])
        with pytest.raises(Infrastructure):
            await publisher.publish([((topic, 0), [Message(None, TOO_LARGE, ())])])
        await publisher.publish([((topic, 0), [Message(None, b"after", ())])])
    finally:
        await publisher.close()
