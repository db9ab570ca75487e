"""Bytes that are no event become dead letters with their original bytes; neighbours are applied."""

import json

from tests.acceptance.concert import Concert
from tests.support.kafka import Message, read_all

GOOD = {
    "source": "shop",
    "type": "Page Viewed",
    "occurred_at": "2026-11-01T12:00:00Z",
    "identifiers": [{"type": "user_id", "value": "neighbour"}],
}


def with_fields(**fields: object) -> bytes:
    return json.dumps({**GOOD, "id": "bad", **fields}).encode()


BAD: dict[str, bytes | None] = {
    "no JSON": b"this is no JSON",
    "half a document": with_fields()[:-5],
    "not UTF-8": b"\xff\xfe\xfa",
    "NaN": with_fields(properties={"total": 1}).replace(b": 1}", b": NaN}"),
    "U+0000": with_fields(traits={"first_name": "a\x00b"}),
    "a megabyte": with_fields(properties={"text": "x" * 1_000_000}),
    "depth 10,000": b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    "a list": b"[1, 2, 3]",
    "a number": b"7",
    "a type that is a number": with_fields(type=7),
    "a time that is none": with_fields(occurred_at="yesterday"),
    "identifiers that are a text": with_fields(identifiers="u1"),
    "an identifier without type": with_fields(identifiers=[{"value": "u1"}]),
    "traits that are a list": with_fields(traits=["a"]),
    "an empty value": b"",
    "a null value": None,
}


async def test_bad_bytes_are_dead_letters_and_neighbours_are_applied(concert: Concert) -> None:
    topic = concert.topics.channel("kiosk")
    messages = []
    for number, value in enumerate(BAD.values()):
        neighbour = json.dumps({**GOOD, "id": f"neighbour-{number}"}).encode()
        messages.append(Message(topic, value, key=b"bad-%d" % number, partition=0))
        messages.append(Message(topic, neighbour, key=b"good-%d" % number, partition=0))
    await concert.publish(*messages)
    await concert.until_done("kiosk", within=60)

    letters = await read_all(concert.stack.kafka, concert.topics.dead_letters(topic))
    sent = {message.key: message.value for message in messages if b"bad" in (message.key or b"")}
    assert {letter.key: letter.value for letter in letters} == sent
    assert len(letters) == len(BAD)
    for letter in letters:
        headers = dict(letter.headers)
        assert headers["__connect.errors.topic"] == topic.encode()
        assert headers["__connect.errors.exception.class.name"]
        offset = int(headers["__connect.errors.offset"])
        assert messages[offset].key == letter.key
    profile = await concert.profile("user_id", "neighbour")
    assert profile["computed"]["touchpoints"] == len(BAD)
