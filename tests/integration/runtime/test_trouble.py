"""The loop when its servers fail at the wrong moment, and when records come in odd encodings."""

import asyncio
from collections import Counter

import pytest
from aiokafka.record.util import calc_crc32c
from confluent_kafka import Producer
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.contracts.topics import Topics
from shared.errors import Infrastructure
from shared.kafka.factory import build_producer
from shared.kafka.records import Place
from shared.postgres import leases
from shared.runtime.leases import LeaseKeeper
from tests.integration.runtime.test_stream_worker import hold, seen, until_passed
from tests.integration.runtime.toy import running
from tests.support.eventually import eventually
from tests.support.kafka import Message, publish
from tests.support.postgres import Database
from tests.support.stack import Stack


@pytest.mark.parametrize("codec", ["gzip", "lz4", "zstd", "snappy"])
async def test_publishers_choose_their_codec(
    stack: Stack, bare_database: Database, topics: Topics, engine: AsyncEngine, codec: str
) -> None:
    producer = Producer({"bootstrap.servers": stack.kafka, "compression.type": codec})
    for number in range(50):
        producer.produce(topics.touchpoints, b"v%d " % number + b"x" * 500)
    producer.flush(20)
    async with running(stack.kafka, bare_database.profile, topics.prefix, member="a"):
        found = await until_passed(engine, 50)
    assert found["applied"] == 50


async def test_a_record_that_the_client_cannot_decode_stops_its_partition_alone(
    stack: Stack, bare_database: Database, topics: Topics, engine: AsyncEngine
) -> None:
    await publish_header_that_is_no_text(stack.kafka, topics.touchpoints, partition=2)
    await publish(
        stack.kafka,
        [Message(topics.touchpoints, b"v%d" % n, partition=n % 2) for n in range(20)],
    )
    async with running(stack.kafka, bare_database.profile, topics.prefix, member="a") as toy:
        await eventually(lambda: hold(toy.health), until=lambda told: "cannot be read" in told)
        await until_passed(engine, 20)
    assert await seen(engine) == Counter(f"v{n}" for n in range(20))


async def publish_header_that_is_no_text(kafka: str, topic: str, *, partition: int) -> None:
    """A record whose header name is not UTF-8; its batch is whole and has the right checksum."""
    producer = build_producer(kafka, client_id="odd")
    await producer.start()
    batch = producer.create_batch()
    batch.append(timestamp=None, key=None, value=b"odd", headers=[("zz", b"v")])
    build = batch._build

    def odd() -> bytes:
        data = bytearray(bytes(build()).replace(b"zz", b"\xff\xfe"))
        data[17:21] = calc_crc32c(bytes(data[21:])).to_bytes(4, "big")
        return bytes(data)

    batch._build = odd
    await (await producer.send_batch(batch, topic, partition=partition))
    await producer.stop()


@pytest.mark.timeout(300)
async def test_partitions_claimed_while_kafka_was_away_are_read_when_it_is_back(
    stack: Stack, bare_database: Database, topics: Topics, engine: AsyncEngine
) -> None:
    async with running(stack.kafka, bare_database.profile, topics.prefix, member="a"):
        await publish(stack.kafka, [Message(topics.touchpoints, b"v0", key=b"k")])
        await until_passed(engine, 1)
    with stack.frozen("kafka"):
        worker = running(stack.kafka, bare_database.profile, topics.prefix, member="a")
        starting = asyncio.create_task(worker.__aenter__())
        toy = await starting
        await eventually(lambda: claimed(engine), what="partitions claimed without Kafka")
        assert not (await toy.health.readiness()).ready
    await publish(stack.kafka, [Message(topics.touchpoints, b"v%d" % n) for n in range(1, 9)])
    await until_passed(engine, 9)
    await worker.__aexit__(None, None, None)
    assert await seen(engine) == Counter(f"v{n}" for n in range(9))


async def claimed(engine: AsyncEngine) -> bool:
    """Whether the input's rows have an owner."""
    query = "SELECT count(*) FROM lease WHERE grp <> 'relay' AND owner = 'a'"
    async with engine.connect() as connection:
        return bool((await connection.execute(text(query))).scalar_one())


async def test_a_release_that_failed_is_done_again(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = LeaseKeeper(engine, group="g", member="first")
    second = LeaseKeeper(engine, group="g", member="second")
    await first.ensure({Place("t", number): 0 for number in range(4)})
    await first.tick()
    await second.tick()
    surplus = await first.tick()
    assert len(surplus) == 2

    async def away(*args: object) -> None:
        raise Infrastructure("postgres", "away")

    with monkeypatch.context() as broken:
        broken.setattr(leases, "release", away)
        with pytest.raises(Infrastructure):
            await first.release(surplus)
    assert await first.tick() == surplus
    await first.release(surplus)
    await second.tick()
    assert (len(first.epochs), len(second.epochs)) == (2, 2)


async def test_a_member_that_left_stays_away(engine: AsyncEngine) -> None:
    keeper = LeaseKeeper(engine, group="g", member="first")
    await keeper.ensure({Place("t", 0): 0})
    await keeper.tick()
    stopping = asyncio.Event()
    beating = asyncio.create_task(keeper.heartbeat(stopping))
    await keeper.leave()
    await keeper._beat()
    stopping.set()
    await beating
    async with engine.connect() as connection:
        assert await leases.members(connection, "g") == []
