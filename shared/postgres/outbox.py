"""The outbox: messages commit with the state they speak of, packed in one row per partition.

Whoever changes state appends here inside its transaction, while it holds the locks of the profiles
the messages are about; so the order of row ids is the order of `seq` for each profile. Nobody but
the relay publishes.
"""

import zlib
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.contracts.dead_letter import Headers
from shared.contracts.topics import max_message_bytes
from shared.errors import Infrastructure, InvalidData

SHARDS = 8
"""Relay ownership is per `partition % SHARDS`, for all topics alike."""
RECORD_OVERHEAD = 512
"""Room left for what the broker's format adds to key, value and headers."""


class Message(NamedTuple):
    """One message of a frame, as it will be published."""

    key: bytes | None
    value: bytes | None
    headers: Headers


class PartitionCounts:
    """How many partitions each topic has, kept fresh by the catalogue of the process."""

    def __init__(self, counts: Mapping[str, int] | None = None) -> None:
        self._counts = dict(counts or {})
        self.missing: set[str] = set()

    def update(self, counts: Mapping[str, int]) -> None:
        self._counts.update(counts)
        self.missing.difference_update(counts)

    def of(self, topic: str) -> int:
        """Raises Infrastructure for a topic that is not there (yet); it is asked for by that."""
        count = self._counts.get(topic)
        if count is None:
            self.missing.add(topic)
            raise Infrastructure("kafka", f"topic {topic} does not exist yet")
        return count


class OutboxBuffer:
    """Messages of one transaction, by topic and partition, in the order they were added."""

    def __init__(self, counts: PartitionCounts) -> None:
        self._counts = counts
        self._messages: dict[tuple[str, int], list[Message]] = {}
        self._topic_counts: dict[str, int] = {}

    def add(self, topic: str, key: bytes, value: bytes, headers: Headers = ()) -> None:
        """Add a message to the partition of its key (CRC-32, as librdkafka's `consistent`).

        Raises InvalidData `too_large` when the topic would refuse it.
        """
        size = len(key) + len(value)
        if size > max_message_bytes(topic) - RECORD_OVERHEAD:
            raise InvalidData("too_large", f"{size} bytes are too many for {topic}")
        count = self._topic_counts.get(topic)
        if count is None:
            count = self._topic_counts[topic] = self._counts.of(topic)
        self._append((topic, zlib.crc32(key) % count), Message(key, value, headers))

    def add_dead_letter(
        self, topic: str, partition: int, key: bytes | None, value: bytes | None, headers: Headers
    ) -> None:
        """Add original bytes to a dead-letter topic, on the partition with the same number."""
        self._append((topic, partition % self._counts.of(topic)), Message(key, value, headers))

    def _append(self, place: tuple[str, int], message: Message) -> None:
        messages = self._messages.get(place)
        if messages is None:
            self._messages[place] = [message]
        else:
            messages.append(message)

    def items(self) -> Iterator[tuple[tuple[str, int], list[Message]]]:
        return iter(self._messages.items())

    def __len__(self) -> int:
        return sum(len(messages) for messages in self._messages.values())


FRAME_BYTES = 4 * 1024 * 1024
"""A frame is closed when it passes this size, so that no row grows without bound."""

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[Message])

_INSERT = text(
    """
    INSERT INTO outbox (shard, topic, part, messages, frame)
    SELECT shard, topic, part, messages, frame
      FROM unnest(CAST(:shards AS smallint[]), CAST(:topics AS text[]), CAST(:parts AS integer[]),
                  CAST(:messages AS integer[]), CAST(:frames AS bytea[]))
           WITH ORDINALITY AS f (shard, topic, part, messages, frame, n)
     ORDER BY n
    """
)


async def append(tx: AsyncConnection, buffer: OutboxBuffer) -> None:
    """Insert the buffer as frames, one row per partition, in one statement."""
    rows: list[tuple[int, str, int, int, bytes]] = []
    for (topic, partition), messages in buffer.items():
        for part in _split(messages):
            frame = _encoder.encode(part)
            rows.append((partition % SHARDS, topic, partition, len(part), frame))
    if not rows:
        return
    shards, topics, parts, counts, frames = zip(*rows, strict=True)
    await tx.execute(
        _INSERT,
        {
            "shards": list(shards),
            "topics": list(topics),
            "parts": list(parts),
            "messages": list(counts),
            "frames": list(frames),
        },
    )


def decode_frame(frame: bytes) -> list[Message]:
    """The messages of a row's `frame`, in order."""
    return _decoder.decode(frame)


def _split(messages: list[Message]) -> Iterator[list[Message]]:
    start = size = 0
    for index, message in enumerate(messages):
        size += len(message.value or b"") + len(message.key or b"")
        if size > FRAME_BYTES and index > start:
            yield messages[start:index]
            start, size = index, len(message.value or b"")
    yield messages[start:]
