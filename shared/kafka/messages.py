"""Messages on their way out, by topic and partition, in the order they were added."""

import zlib
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple

from shared.contracts.dead_letter import TRUNCATED, Headers
from shared.contracts.topics import max_message_bytes
from shared.errors import Infrastructure, InvalidData

RECORD_OVERHEAD = 512
"""Room left for what the broker's format adds to key, value and headers."""


MAX_DEAD_LETTER_HEADERS = 50
"""Of a record that is too large as it is."""


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
        _refuse_too_large(topic, key, value, headers)
        count = self._topic_counts.get(topic)
        if count is None:
            count = self._topic_counts[topic] = self._counts.of(topic)
        self._append((topic, zlib.crc32(key) % count), Message(key, value, headers))

    def add_at(
        self, topic: str, partition: int, key: bytes | None, value: bytes | None, headers: Headers
    ) -> None:
        """Add a message to a partition of the caller's choice, as `add`; it may have no key."""
        _refuse_too_large(topic, key or b"", value or b"", headers)
        place = (topic, partition % self._counts.of(topic))
        self._append(place, Message(key, value, headers))

    def add_dead_letter(
        self, topic: str, partition: int, key: bytes | None, value: bytes | None, headers: Headers
    ) -> None:
        """Add original bytes to a dead-letter topic, on the partition with the same number.

        What was compressed on its way here can be larger than any topic takes: then the beginning
        is kept, and `x-truncated` says how many bytes there were.
        """
        room = _room(topic)
        size = len(key or b"") + len(value or b"") + _header_bytes(headers)
        if size > room:
            headers = ((TRUNCATED, str(size).encode()), *headers[:MAX_DEAD_LETTER_HEADERS])
            headers = tuple((name, content[:1024]) for name, content in headers)
            key = None if key is None else key[:1024]
            value = (value or b"")[: room - 1024 - _header_bytes(headers)]
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


def _refuse_too_large(topic: str, key: bytes, value: bytes, headers: Headers) -> None:
    size = len(key) + len(value)
    if headers:
        size += _header_bytes(headers)
    if size > _room(topic):
        raise InvalidData("too_large", f"{size} bytes are too many for {topic}")


@lru_cache(maxsize=1000)
def _room(topic: str) -> int:
    return max_message_bytes(topic) - RECORD_OVERHEAD


def _header_bytes(headers: Headers) -> int:
    return sum(len(name) + len(content) + 8 for name, content in headers)
