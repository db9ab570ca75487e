"""Reads partitions from their ends on, for people who watch: no group, no position is kept.

What comes while it is not started is not seen; who needs every record uses `GuardedConsumer`.
"""

from collections.abc import Iterable

from aiokafka import TopicPartition

from shared.errors import Infrastructure
from shared.kafka.errors import KAFKA_TROUBLE
from shared.kafka.factory import build_consumer
from shared.kafka.guard import record_of
from shared.kafka.records import Place, Record

POLL_MS = 200


class Tail:
    """One consumer from `start` to `stop`. For one task."""

    def __init__(self, bootstrap: str, *, client_id: str) -> None:
        self._consumer = build_consumer(bootstrap, group=None, client_id=client_id)
        self._places: set[Place] = set()

    async def start(self, places: Iterable[Place]) -> None:
        """Read these partitions from where they end now. Raises Infrastructure."""
        try:
            await self._consumer.start()
            partitions = [TopicPartition(*place) for place in places]
            ends = await self._consumer.end_offsets(partitions)
        except KAFKA_TROUBLE as error:
            raise Infrastructure("kafka", f"{type(error).__name__}: {error}") from error
        self._assign(ends)

    async def follow(self, places: Iterable[Place]) -> None:
        """Read partitions that have come into being since, too: from their beginning.

        Raises Infrastructure.
        """
        new = [TopicPartition(*place) for place in set(places) - self._places]
        if not new:
            return
        try:
            positions = {
                partition: await self._consumer.position(partition)
                for partition in self._consumer.assignment()
            }
            beginnings = await self._consumer.beginning_offsets(new)
        except KAFKA_TROUBLE as error:
            raise Infrastructure("kafka", f"{type(error).__name__}: {error}") from error
        self._assign(positions | beginnings)

    async def poll(self, max_records: int) -> list[Record]:
        """What came since the last call, in order within each partition; waits a little.

        Raises Infrastructure.
        """
        try:
            fetched = await self._consumer.getmany(timeout_ms=POLL_MS, max_records=max_records)
        except KAFKA_TROUBLE as error:
            raise Infrastructure("kafka", f"{type(error).__name__}: {error}") from error
        return [record_of(one) for records in fetched.values() for one in records]

    async def stop(self) -> None:
        """End the consumer."""
        await self._consumer.stop()

    def _assign(self, positions: dict[TopicPartition, int]) -> None:
        self._consumer.assign(list(positions))
        for partition, offset in positions.items():
            self._consumer.seek(partition, offset)
        self._places = {Place(one.topic, one.partition) for one in positions}
