"""Messages keep their order within a partition; a too large one is refused before it is kept."""

import zlib

import msgspec
import pytest

from shared.errors import Infrastructure, InvalidData
from shared.kafka.messages import Message, OutboxBuffer, PartitionCounts
from shared.postgres.outbox import FRAME_BYTES, _split, decode_frame, encode_frame


def test_order_within_a_partition_is_the_order_of_adding() -> None:
    buffer = OutboxBuffer(PartitionCounts({"touchpoints": 4}))
    keys = [b"a", b"b", b"a", b"c", b"a"]
    for number, key in enumerate(keys):
        buffer.add("touchpoints", key, b"%d" % number)
    place = ("touchpoints", zlib.crc32(b"a") % 4)
    mine = [message for message in dict(buffer.items())[place] if message.key == b"a"]
    assert [message.value for message in mine] == [b"0", b"2", b"4"]
    assert len(buffer) == 5


def test_an_unknown_topic_is_asked_for() -> None:
    counts = PartitionCounts()
    with pytest.raises(Infrastructure, match="does not exist yet"):
        OutboxBuffer(counts).add("actions.web", b"k", b"v")
    assert counts.missing == {"actions.web"}
    counts.update({"actions.web": 2})
    assert not counts.missing


def test_what_the_topic_would_refuse_is_refused_here() -> None:
    buffer = OutboxBuffer(PartitionCounts({"touchpoints": 1}))
    with pytest.raises(InvalidData, match="too_large"):
        buffer.add("touchpoints", b"k", b"x" * (1024 * 1024))
    assert len(buffer) == 0


def test_frames_are_split_by_size_and_lose_nothing() -> None:
    messages = [Message(b"k", b"x" * (FRAME_BYTES // 3), ()) for _ in range(10)]
    parts = list(_split(messages))
    assert [message for part in parts for message in part] == messages
    assert len(parts) > 2


def test_a_frame_reads_back_as_it_was() -> None:
    messages = [Message(b"k", None, (("h", b"\x00\xff"),)), Message(None, b"v", ())]
    assert decode_frame(encode_frame(messages)) == messages


def test_what_repeats_is_packed_and_reads_back_as_it_was() -> None:
    """A short frame, or one of before there was packing, is read as well."""
    messages = [Message(b"k", b"%d" % n + b"traits" * 500, ()) for n in range(20)]
    plain = msgspec.msgpack.encode(messages)
    frame = encode_frame(messages)
    assert len(frame) < len(plain) / 10
    assert decode_frame(frame) == decode_frame(plain) == messages
    assert encode_frame(messages[:0]) == msgspec.msgpack.encode([])


def test_a_dead_letter_that_no_topic_takes_keeps_its_beginning() -> None:
    buffer = OutboxBuffer(PartitionCounts({"channel.web.dlq": 1}))
    value = b"x" * (5 * 1024 * 1024)
    buffer.add_dead_letter("channel.web.dlq", 0, b"k", value, (("h", b"v"),))
    ((_, [message]),) = buffer.items()
    assert message.value is not None
    assert value.startswith(message.value)
    assert 2 * 1024 * 1024 < len(message.value) < 3 * 1024 * 1024
    assert dict(message.headers)["x-truncated"] == str(len(value) + 1 + 10).encode()
