"""The worker on real Kafka: every dialect in, touchpoints out, bad records aside."""

import asyncio

import orjson
from confluent_kafka import Producer

from shared.contracts.topics import EVENT_MAX_BYTES, Topics
from shared.ids import touchpoint_id
from tests.integration.ingest.conftest import OPEN, Ingest, native, reason
from tests.support.eventually import eventually
from tests.support.kafka import Message, create_topic, publish, read_all
from tests.support.processes import RoleProcesses
from tests.support.stack import Stack

SEGMENT = {"type": "track", "event": "Seen", "userId": "s1", "messageId": "s-1"}
CE_HEADERS = (
    ("ce_specversion", b"1.0"),
    ("ce_source", b"/ivr/1"),
    ("ce_type", b"com.acme.call.ended"),
    ("content-type", b"application/json"),
)
CE_STRUCTURED = {"specversion": "1.0", "id": "k-2", "source": "/ivr/1", "type": "x", "data": {}}


async def test_every_dialect_becomes_a_touchpoint(ingest: Ingest) -> None:
    web, calls = ingest.topics.channel("web"), ingest.topics.channel("call_centre")
    structured = (("content-type", b"application/cloudevents+json"),)
    placed = await publish(
        ingest.stack.kafka,
        [
            Message(web, native("shop", "n-1"), b"n-1"),
            Message(web, orjson.dumps(SEGMENT), b"s1"),
            Message(calls, b'{"seconds":60}', None, (*CE_HEADERS, ("ce_id", b"k-1"))),
            Message(calls, orjson.dumps(CE_STRUCTURED), None, structured),
            Message(calls, None, b"k", (*CE_HEADERS, ("ce_id", b"k-3"))),
        ],
    )
    (one,) = await ingest.touchpoints("shop", 1)
    assert (one.id, one.channel) == (str(touchpoint_id("shop", "n-1")), "web")
    assert (one.raw.partition, one.raw.offset) == (placed[0].partition, placed[0].offset)
    assert [one.message_id for one in await ingest.touchpoints("web", 1)] == ["s-1"]
    calls_found = {one.message_id: one for one in await ingest.touchpoints("/ivr/1", 3)}
    assert calls_found.keys() == {"k-1", "k-2", "k-3"}
    assert calls_found["k-1"].properties == {"seconds": 60}


async def test_bad_records_are_kept_aside_and_their_neighbours_go_on(ingest: Ingest) -> None:
    bad: list[tuple[bytes | None, str]] = [
        (b"no json", "malformed_payload"),
        (b'{"source":"s","type":"t","n":NaN}', "malformed_payload"),
        (b'{"source":"s","type":"a\\u0000b"}', "malformed_payload"),
        (b'{"source":"s","type":"t","n":1e400}', "malformed_payload"),
        (b'{"source":"s","type":"t","type":"u"}', "malformed_payload"),
        (b"[" * 10_000 + b"]" * 10_000, "malformed_payload"),
        (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, "malformed_payload"),
        (native("till", "big", text="x" * 1024 * 1024), "too_large"),
        (native("till", "edge", text="x" * EVENT_MAX_BYTES), "too_large"),
        (native("till", "wrong", properties=[]), "spec_violation"),
        (native("till", "wrong", occurred_at="soon"), "spec_violation"),
        (b"7", "spec_violation"),
        (None, "empty"),
        (b"", "empty"),
        (b"\x00\xff\xfe", "malformed_payload"),
    ]
    topic = ingest.topics.channel("pos")
    messages = []
    for number, (value, _) in enumerate(bad):
        messages.append(Message(topic, native("till", f"n-{number}"), b"k", partition=0))
        header = (("number", str(number).encode()),)
        messages.append(Message(topic, value, b"key-%d" % number, header, partition=0))
    await publish(ingest.stack.kafka, messages)
    await asyncio.to_thread(publish_nothing, ingest.stack.kafka, topic)
    await publish(ingest.stack.kafka, [Message(topic, native("till", "last"), b"k", partition=0)])

    applied = await ingest.touchpoints("till", len(bad) + 1)
    assert {one.message_id for one in applied} == {"last"} | {f"n-{n}" for n in range(len(bad))}
    letters = await ingest.dead_letters("pos", len(bad) + 1)
    by_number = {int(dict(letter.headers)["number"]): letter for letter in letters}
    for number, (value, why) in enumerate(bad):
        letter = by_number[number]
        assert (letter.value, letter.key) == (value, b"key-%d" % number)
        assert reason(letter) == why, number
        assert dict(letter.headers)["__connect.errors.topic"] == topic.encode()
    assert (by_number[-1].key, by_number[-1].value) == (None, None)


def publish_nothing(bootstrap: str, topic: str) -> None:
    """A record without key and value, which only some clients can send."""
    producer = Producer({"bootstrap.servers": bootstrap, "acks": "all"})
    producer.produce(topic, partition=0, headers={"number": b"-1"})
    assert producer.flush(30) == 0


async def test_a_new_channel_is_read_from_its_first_record(ingest: Ingest) -> None:
    topic = ingest.topics.channel("vending")
    await create_topic(ingest.stack.kafka, topic, partitions=3)
    sent = [Message(topic, native("vending", f"v-{n}"), b"%d" % n) for n in range(20)]
    await publish(ingest.stack.kafka, sent)
    found = await ingest.touchpoints("vending", 20)
    assert {one.channel for one in found} == {"vending"}


async def test_where_only_registered_sources_may_publish(
    stack: Stack, topics: Topics, roles: RoleProcesses
) -> None:
    closed = {"CONCERT_ALLOW_UNREGISTERED_SOURCES": "false"}
    process = await roles.start_ready("ingest", "worker", extra=closed)
    await publish(stack.kafka, [Message(topics.channel("web"), native("shop", "n-1"))])

    async def counted() -> bool:
        failed = 'concert_events_failed_total{channel="web",reason="unknown_source"} 1.0'
        return failed in await process.metrics()

    await eventually(counted)
    (letter,) = await read_all(stack.kafka, topics.dead_letters(topics.channel("web")))
    assert reason(letter) == "unknown_source"


async def test_a_killed_worker_gives_the_same_touchpoints_again(
    stack: Stack, topics: Topics, roles: RoleProcesses
) -> None:
    first = roles.start("ingest", "worker", extra=OPEN | {"CONCERT_CRASH": "runtime.produced:1"})
    sent = [Message(topics.channel("web"), native("shop", f"n-{n}")) for n in range(50)]
    await publish(stack.kafka, sent)
    await eventually(lambda: first.exit_code() is not None, within=60)
    before = len(await read_all(stack.kafka, topics.touchpoints))
    assert before, "it was killed after it had produced"
    roles.start("ingest", "worker", extra=OPEN)

    async def ids() -> list[str]:
        records = await read_all(stack.kafka, topics.touchpoints)
        return [orjson.loads(record.value)["id"] for record in records]

    expected = {str(touchpoint_id("shop", f"n-{n}")) for n in range(50)}
    found = await eventually(ids, until=lambda seen: len(seen) >= 50 + before, within=60)
    assert set(found) == expected
    assert len(found) == 50 + before
