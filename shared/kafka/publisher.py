"""Publishes batches in order and returns when every message has its acknowledgements.

After any error the producer is thrown away: an idempotent producer of aiokafka that lost one batch
can never send to that partition again. The caller sends the same messages anew; receivers drop
what comes twice.
"""

import asyncio
from collections.abc import Awaitable, Iterable, Sequence

from aiokafka import AIOKafkaProducer
from aiokafka.structs import RecordMetadata

from shared.errors import Infrastructure
from shared.kafka.errors import KAFKA_TROUBLE
from shared.kafka.factory import build_producer
from shared.kafka.messages import Message

BATCH_BYTES = 900 * 1024
"""A produce batch is closed before it passes what topics of one MiB take."""
PUBLISH_SECONDS = 30.0
"""The client would try a partition without a leader for ever, and hold back all others with it."""


class Publisher:
    """One idempotent producer, replaced after every error. For one task at a time."""

    def __init__(self, bootstrap: str, *, client_id: str) -> None:
        self._bootstrap = bootstrap
        self._client_id = client_id
        self._producer: AIOKafkaProducer | None = None

    async def publish(self, batches: Iterable[tuple[tuple[str, int], Sequence[Message]]]) -> None:
        """Send messages to their (topic, partition), keeping the order within each.

        Raises Infrastructure when any of them has no acknowledgement; some may be in the topic.
        """
        sent: list[Awaitable[RecordMetadata]] = []
        try:
            async with asyncio.timeout(PUBLISH_SECONDS):
                for (topic, partition), messages in batches:
                    sent += await _send(await self._started(), topic, partition, messages)
                await asyncio.gather(*sent)
        except KAFKA_TROUBLE as error:
            await self.close()
            await asyncio.gather(*sent, return_exceptions=True)
            raise Infrastructure("kafka", f"{type(error).__name__}: {error}") from error
        except BaseException:
            await self.close()
            await asyncio.gather(*sent, return_exceptions=True)
            raise

    async def close(self) -> None:
        """Stop the producer; a later `publish` starts a new one."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await asyncio.wait({asyncio.ensure_future(producer.stop())}, timeout=5)

    async def _started(self) -> AIOKafkaProducer:
        if self._producer is None:
            producer = build_producer(self._bootstrap, client_id=self._client_id)
            try:
                await producer.start()
            except BaseException:
                await producer.stop()
                raise
            self._producer = producer
        return self._producer


async def _send(
    producer: AIOKafkaProducer, topic: str, partition: int, messages: Sequence[Message]
) -> list[Awaitable[RecordMetadata]]:
    sent: list[Awaitable[RecordMetadata]] = []
    batch = producer.create_batch()
    size = 0
    for message in messages:
        headers = list(message.headers)
        length = len(message.key or b"") + len(message.value or b"") + 64
        if headers:
            length += sum(len(name) + len(content or b"") + 16 for name, content in headers)
        if size and size + length > BATCH_BYTES:
            sent.append(await producer.send_batch(batch, topic, partition=partition))
            batch = producer.create_batch()
            size = 0
        added = batch.append(timestamp=None, key=message.key, value=message.value, headers=headers)
        if added is None:
            raise ValueError(f"a message of {length} bytes does not fit into a produce request")
        size += length
    if size:
        sent.append(await producer.send_batch(batch, topic, partition=partition))
    return sent
