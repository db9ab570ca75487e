"""Who lost a lease moves no position and deletes no row, however late; real PostgreSQL."""

from collections.abc import Sequence

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.contracts.topics import Topics
from shared.errors import Fenced
from shared.kafka.messages import OutboxBuffer, PartitionCounts
from shared.kafka.publisher import Publisher
from shared.kafka.records import Place, Record, Span
from shared.postgres import leases, outbox
from shared.runtime.commit import DeadLetters, ProduceThenCommit
from shared.runtime.records import Handled

GROUP = "fenced"
PLACES = (Place("channel.web", 0), Place("channel.web", 1))
COUNTS = PartitionCounts({"touchpoints": 8})


async def handle(records: Sequence[Record]) -> Handled:
    """Every record is taken and nothing comes of it."""
    return Handled(OutboxBuffer(COUNTS))


def stateless(engine: AsyncEngine) -> ProduceThenCommit:
    """The commit of a hop that publishes nothing, so it needs no broker."""
    return ProduceThenCommit(
        engine,
        group=GROUP,
        handler=handle,
        dead_letters=DeadLetters(group=GROUP, topics=Topics(), counts=COUNTS),
        publisher=Publisher("nowhere:1", client_id="fenced"),
    )


def span(place: Place, start: int) -> Span:
    """One record at `start`."""
    record = Record(place.topic, place.partition, start, 0, b"k", b"v", ())
    return Span(place, start, start + 1, [record])


async def claimed(engine: AsyncEngine, member: str, places: Sequence[Place]) -> dict[Place, int]:
    """The epochs of rows that `member` claims now, from whoever had them."""
    async with engine.begin() as tx:
        await leases.ensure(tx, GROUP, dict.fromkeys(places, 0))
        await tx.execute(text("UPDATE lease SET owner = NULL"))
        positions = await leases.claim(tx, GROUP, member, places)
    return {place: position.epoch for place, position in positions.items()}


async def standing(engine: AsyncEngine) -> dict[Place, int]:
    """The next offset of each place."""
    async with engine.begin() as tx:
        rows = await leases.lock(tx, GROUP, PLACES)
    return {place: position.next_offset for place, position in rows.items()}


async def test_a_stateless_hop_moves_what_is_its_own_and_hears_of_the_rest(
    engine: AsyncEngine,
) -> None:
    old = await claimed(engine, "old", PLACES)
    await claimed(engine, "new", PLACES[:1])
    with pytest.raises(Fenced):
        await stateless(engine)([span(place, 0) for place in PLACES], old, None, 1)
    assert await standing(engine) == {PLACES[0]: 0, PLACES[1]: 1}


async def test_a_batch_that_does_not_begin_where_the_row_stands_moves_nothing(
    engine: AsyncEngine,
) -> None:
    epochs = await claimed(engine, "a", PLACES[:1])
    commit = stateless(engine)
    await commit([span(PLACES[0], 0)], epochs, None, 1)
    with pytest.raises(Fenced):
        await commit([span(PLACES[0], 0)], epochs, None, 1)
    with pytest.raises(Fenced):
        await commit([span(PLACES[0], 2)], epochs, None, 1)
    assert (await standing(engine))[PLACES[0]] == 1


async def test_a_relay_that_lost_its_shard_deletes_nothing_and_hears_of_it(
    engine: AsyncEngine,
) -> None:
    shards = (Place("outbox", 0), Place("outbox", 1))
    buffer = OutboxBuffer(COUNTS)
    for number in range(100):
        buffer.add("touchpoints", b"key %d" % number, b"value")
    async with engine.begin() as tx:
        await outbox.append(tx, buffer)
    old = await claimed(engine, "old", shards)
    await claimed(engine, "new", shards[:1])
    async with engine.begin() as tx:
        frames = (await outbox.read(tx, {0: 0, 1: 0}, 10)).frames
        assert {frame.shard for frame in frames} == {0, 1}
        assert await outbox.delete(tx, frames, GROUP, old) == {shards[1]}
        left = (await outbox.read(tx, {0: 0, 1: 0}, 10)).frames
        assert {frame.shard for frame in left} == {0}
