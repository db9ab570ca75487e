"""A consumer that returns every record of its partitions exactly once and in order, or says so.

aiokafka can move a partition's position past records that it never returned: when another
partition of the same call fails, when a record is larger than the fetch size, and when a rebalance
interferes. Each of these shows as a first offset that is not the expected one. So the guard keeps
`expected` for each partition, seeks back once when something is missing, and only believes a hole
when it stands there a second time (compaction, transaction markers, aborted transactions).

Nothing is decoded here, partitions are assigned by their owner and never by the group protocol,
and `getmany` is never called without partitions, because that would mean all of them.
"""

import asyncio
from collections.abc import Iterable, Mapping

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import (
    CorruptRecordException,
    OffsetOutOfRangeError,
    UnsupportedCodecError,
)

from shared.errors import Infrastructure, PartitionStopped
from shared.kafka.errors import KAFKA_TROUBLE
from shared.kafka.factory import build_consumer
from shared.kafka.records import Place, Record, Span

POLL_MS = 200
DAMAGE = (CorruptRecordException, UnsupportedCodecError)
"""Errors of the client that another try cannot heal."""


class Unreadable(Exception):  # noqa: N818 - says what the bytes are
    """Records of one of the partitions cannot be decoded by the client."""


class GuardedConsumer:
    """Reads assigned partitions; `expected` holds the next offset of each."""

    def __init__(self, bootstrap: str, *, group: str | None, client_id: str) -> None:
        self._bootstrap = bootstrap
        self._group = group
        self._client_id = client_id
        self._consumer: AIOKafkaConsumer | None = None
        self._suspected: dict[Place, int] = {}
        self.expected: dict[Place, int] = {}

    async def assign(self, positions: Mapping[Place, int]) -> None:
        """Read exactly these partitions from now on, each from its offset.

        Raises Infrastructure when Kafka does not answer; nothing is assigned then.
        """
        consumer = await self._started()
        self.expected = dict(positions)
        self._suspected.clear()
        consumer.assign([_tp(place) for place in positions])
        for place, offset in positions.items():
            consumer.seek(_tp(place), offset)

    def seek(self, place: Place, offset: int) -> None:
        """Read `place` from `offset` next; ignored for a partition that is not assigned."""
        if place not in self.expected:
            return
        self.expected[place] = offset
        if self._consumer is not None:
            self._consumer.seek(_tp(place), offset)

    def waiting(self, place: Place) -> int:
        """How many offsets of an assigned partition are known to be there and not yet passed; the
        broker tells with the records it sends."""
        if self._consumer is None:
            return 0
        end: int | None = self._consumer.highwater(_tp(place))
        return 0 if end is None else max(end - self.expected[place], 0)

    async def poll(
        self,
        places: Iterable[Place],
        max_records: int,
        *,
        quota: int | None = None,
        wait_ms: int = POLL_MS,
    ) -> list[Span]:
        """Records of these partitions, at least one of which must be given.

        At most `quota` of each, so that none takes the place of others; where even that is more
        than `max_records` together, those named first come first. Without a quota, as the client
        has them.

        Moves no position for good: the caller calls `passed` when a span is done, `seek` when not.
        Raises Infrastructure when Kafka does not answer, PartitionStopped when an offset is no
        longer there (retention, a topic created anew): this never jumps.
        """
        wanted = [_tp(place) for place in places if place in self.expected]
        if not wanted:
            raise ValueError("poll needs at least one assigned partition")
        consumer = await self._started()
        try:
            fetched = await self._fetch_fairly(
                consumer, wanted, max_records, quota or max_records, wait_ms
            )
        except Unreadable:
            fetched = await self._fetch_singly(consumer, wanted, max_records)
        spans = [self._span(tp, fetched[tp]) for tp in wanted if fetched.get(tp)]
        spans += await self._empty_holes(consumer, [tp for tp in wanted if not fetched.get(tp)])
        return sorted((span for span in spans if span is not None), key=lambda span: span.place)

    async def _fetch_fairly(
        self,
        consumer: AIOKafkaConsumer,
        wanted: list[TopicPartition],
        max_records: int,
        quota: int,
        wait_ms: int,
    ) -> dict[TopicPartition, list[ConsumerRecord]]:
        """The client empties what it has of one partition before it comes to the next. So when a
        quota does not take all that is there, each of the others is asked for its own."""
        fetched = await self._fetch(consumer, wanted, min(quota, max_records), wait_ms=wait_ms)
        left = max_records - sum(map(len, fetched.values()))
        if max_records - left < quota:
            return fetched
        for tp in wanted:
            room = min(quota - len(fetched.get(tp, ())), left)
            if room > 0:
                try:
                    more = await self._fetch(consumer, [tp], room, wait_ms=0)
                except Exception:  # whatever it is: what was fetched before is read again
                    self._rewind(fetched)
                    raise
                for one, records in more.items():
                    fetched[one] = [*fetched.get(one, ()), *records]
                    left -= len(records)
        return fetched

    async def _fetch(
        self,
        consumer: AIOKafkaConsumer,
        wanted: list[TopicPartition],
        max_records: int,
        *,
        wait_ms: int = POLL_MS,
    ) -> dict[TopicPartition, list[ConsumerRecord]]:
        """Whatever is raised, every position is put back first: the client has moved some."""
        try:
            return await consumer.getmany(*wanted, timeout_ms=wait_ms, max_records=max_records)  # type: ignore[no-any-return]
        except OffsetOutOfRangeError as error:
            self._rewind(wanted)
            place = next(Place(tp.topic, tp.partition) for tp in error.args[0])
            raise PartitionStopped(
                str(place), f"offset {self.expected[place]} is no longer in the topic"
            ) from error
        except Exception as error:
            self._rewind(wanted)
            if isinstance(error, KAFKA_TROUBLE) and not isinstance(error, DAMAGE):
                raise Infrastructure("kafka", f"{type(error).__name__}: {error}") from error
            raise Unreadable(f"{type(error).__name__}: {error}") from error

    async def _fetch_singly(
        self, consumer: AIOKafkaConsumer, wanted: list[TopicPartition], max_records: int
    ) -> dict[TopicPartition, list[ConsumerRecord]]:
        """Find the partition that cannot be read: it stops, its neighbours go on."""
        fetched: dict[TopicPartition, list[ConsumerRecord]] = {}
        for tp in wanted:
            try:
                fetched |= await self._fetch(consumer, [tp], max_records)
            except Unreadable as error:
                self._rewind(fetched)
                place = Place(tp.topic, tp.partition)
                raise PartitionStopped(
                    str(place), f"records from {self.expected[place]} on cannot be read: {error}"
                ) from error
        return fetched

    def passed(self, span: Span) -> None:
        """This span is committed: the next record of its partition is expected at its end."""
        if span.place in self.expected:
            self.expected[span.place] = span.end

    async def beginnings(self, places: Iterable[Place]) -> dict[Place, int]:
        """The first offset that each partition still has. Raises Infrastructure."""
        consumer = await self._started()
        try:
            found = await consumer.beginning_offsets([_tp(place) for place in places])
        except KAFKA_TROUBLE as error:
            raise Infrastructure("kafka", f"{type(error).__name__}: {error}") from error
        return {Place(tp.topic, tp.partition): offset for tp, offset in found.items()}

    async def ends(self, places: Iterable[Place]) -> dict[Place, int]:
        """The offset behind the last record of each partition. Raises Infrastructure."""
        consumer = await self._started()
        try:
            found = await consumer.end_offsets([_tp(place) for place in places])
        except KAFKA_TROUBLE as error:
            raise Infrastructure("kafka", f"{type(error).__name__}: {error}") from error
        return {Place(tp.topic, tp.partition): offset for tp, offset in found.items()}

    async def since(self, places: Iterable[Place], timestamp: int) -> dict[Place, int]:
        """The offset of the first record of each partition that is stamped with that time (Unix
        milliseconds) or later; its end where there is none. Raises Infrastructure."""
        known = list(places)
        consumer, ends = await self._started(), await self.ends(known)
        try:
            found = await consumer.offsets_for_times({_tp(place): timestamp for place in known})
        except KAFKA_TROUBLE as error:
            raise Infrastructure("kafka", f"{type(error).__name__}: {error}") from error
        stamped = {Place(tp.topic, tp.partition): at for tp, at in found.items()}
        return {
            place: end if (at := stamped.get(place)) is None else at.offset
            for place, end in ends.items()
        }

    async def mirror(self) -> None:
        """Write the positions to the group, for lag tools only; nobody starts from them.

        Raises Infrastructure when Kafka does not answer.
        """
        if self._consumer is None or not self.expected:
            return
        positions = {_tp(place): offset for place, offset in self.expected.items()}
        try:
            await asyncio.wait_for(self._consumer.commit(positions), 5)
        except KAFKA_TROUBLE as error:
            raise Infrastructure("kafka", f"{type(error).__name__}: {error}") from error

    async def stop(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await asyncio.wait({asyncio.ensure_future(consumer.stop())}, timeout=5)

    def _rewind(self, partitions: Iterable[TopicPartition]) -> None:
        for tp in partitions:
            self.seek(Place(tp.topic, tp.partition), self.expected[Place(tp.topic, tp.partition)])

    def _span(self, tp: TopicPartition, fetched: list[ConsumerRecord]) -> Span | None:
        place = Place(tp.topic, tp.partition)
        expected = self.expected[place]
        records = [record_of(record) for record in fetched if record.offset >= expected]
        if not records:
            return None
        if records[0].offset > expected and not self._believed(place, records[0].offset):
            return None
        return Span(place, expected, records[-1].offset + 1, records)

    async def _empty_holes(
        self, consumer: AIOKafkaConsumer, partitions: list[TopicPartition]
    ) -> list[Span]:
        """Spans without a record: the position moved on, twice, and nothing was there."""
        spans = []
        for tp in partitions:
            place = Place(tp.topic, tp.partition)
            position = await consumer.position(tp)
            if position > self.expected[place] and self._believed(place, position):
                spans.append(Span(place, self.expected[place], position, []))
        return spans

    def _believed(self, place: Place, offset: int) -> bool:
        """Whether the hole up to `offset` was seen before; the first time, look again."""
        if self._suspected.get(place) == offset:
            del self._suspected[place]
            return True
        self._suspected[place] = offset
        self.seek(place, self.expected[place])
        return False

    async def _started(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            consumer = build_consumer(self._bootstrap, group=self._group, client_id=self._client_id)
            try:
                await consumer.start()
            except KAFKA_TROUBLE as error:
                await consumer.stop()
                raise Infrastructure("kafka", f"{type(error).__name__}: {error}") from error
            self._consumer = consumer
            if self.expected:
                await self.assign(self.expected)
        return self._consumer


def _tp(place: Place) -> TopicPartition:
    return TopicPartition(place.topic, place.partition)


def record_of(record: ConsumerRecord) -> Record:
    """A record of the client as ours."""
    return Record(
        record.topic,
        record.partition,
        record.offset,
        record.timestamp,
        record.key,
        record.value,
        record.headers,
    )
