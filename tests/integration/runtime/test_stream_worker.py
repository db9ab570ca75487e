"""The stream loop against real Kafka and PostgreSQL: every offset accounted for, once."""

import time
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack

import anyio
import pytest
from confluent_kafka import Producer
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.contracts.topics import Topics
from shared.errors import Fenced, Infrastructure
from shared.kafka.records import Place, Record, Span
from shared.observability.health import Health
from shared.postgres.leases import claim, lock
from tests.integration.runtime.toy import running
from tests.support.eventually import eventually
from tests.support.kafka import Message, publish, read_all
from tests.support.postgres import Database
from tests.support.stack import Stack


async def send(stack: Stack, topics: Topics, values: Sequence[str]) -> None:
    """Publish values to `touchpoints`, each under its own key."""
    await publish(
        stack.kafka,
        [Message(topics.touchpoints, value.encode(), key=value.encode()) for value in values],
    )


async def standing(engine: AsyncEngine) -> dict[str, int]:
    """Sums over the lease rows of the input, and what is left in the outbox."""
    async with engine.connect() as connection:
        row = (
            await connection.execute(
                text(
                    "SELECT coalesce(sum(next_offset - base_offset), 0)::int AS passed, "
                    "coalesce(sum(applied), 0)::int AS applied, "
                    "coalesce(sum(deduped), 0)::int AS deduped, "
                    "coalesce(sum(dead), 0)::int AS dead, coalesce(sum(gaps), 0)::int AS gaps, "
                    "(SELECT count(*)::int FROM outbox) AS outbox FROM lease WHERE grp <> 'relay'"
                )
            )
        ).one()
    return dict(row._mapping)


async def until_passed(engine: AsyncEngine, count: int) -> dict[str, int]:
    """Wait until `count` offsets are passed and everything is published."""
    return await eventually(
        lambda: standing(engine),
        until=lambda found: found["passed"] >= count and found["outbox"] == 0,
        what=f"{count} offsets passed",
    )


async def seen(engine: AsyncEngine) -> Counter[str]:
    """What handlers committed, with how often."""
    async with engine.connect() as connection:
        return Counter((await connection.execute(text("SELECT value FROM seen"))).scalars())


async def test_every_record_is_applied_deduped_or_dead_and_sent_on_once(
    stack: Stack, bare_database: Database, topics: Topics, engine: AsyncEngine
) -> None:
    values = [*(f"v{n}" for n in range(500)), *(f"bad{n}" for n in range(7)), "old1", "old2"]
    await send(stack, topics, values)
    async with running(stack.kafka, bare_database.profile, topics.prefix, member="a"):
        found = await until_passed(engine, len(values))
    assert found == {
        "passed": 509, "applied": 500, "deduped": 2, "dead": 7, "gaps": 0, "outbox": 0
    }  # fmt: skip
    assert await seen(engine) == Counter(f"v{n}" for n in range(500))
    updates = await read_all(stack.kafka, topics.profile_updates)
    assert Counter(record.value.decode() for record in updates) == await seen(engine)
    dead = await read_all(stack.kafka, topics.dead_letters(topics.touchpoints))
    assert {record.value for record in dead} == {b"bad%d" % n for n in range(7)}
    headers = dict(dead[0].headers)
    assert headers["__connect.errors.topic"].decode() == topics.touchpoints
    assert headers["__connect.errors.exception.class.name"] == b"malformed_payload"


async def test_a_record_that_fails_alone_is_dead_lettered_and_its_neighbours_are_applied(
    stack: Stack, bare_database: Database, topics: Topics, engine: AsyncEngine
) -> None:
    def poison(records: Sequence[Record]) -> None:
        if any(record.value == b"v13" for record in records):
            raise ZeroDivisionError("v13 has a bug")

    await send(stack, topics, [f"v{n}" for n in range(40)])
    async with running(
        stack.kafka, bare_database.profile, topics.prefix, member="a", spy=poison
    ) as toy:
        found = await until_passed(engine, 40)
        assert (await toy.health.readiness()).ready
    assert (found["applied"], found["dead"]) == (39, 1)
    assert await seen(engine) == Counter(f"v{n}" for n in range(40) if n != 13)
    (letter,) = await read_all(stack.kafka, topics.dead_letters(topics.touchpoints))
    assert letter.value == b"v13"
    assert dict(letter.headers)["__connect.errors.exception.class.name"] == b"unknown_error"


async def test_a_bug_in_every_record_stops_the_partition_instead_of_emptying_it(
    stack: Stack, bare_database: Database, topics: Topics, engine: AsyncEngine
) -> None:
    def bug(records: Sequence[Record]) -> None:
        if records:
            raise ZeroDivisionError("a bad release")

    await send(stack, topics, [f"v{n}" for n in range(300)])
    async with running(
        stack.kafka, bare_database.profile, topics.prefix, member="a", spy=bug
    ) as toy:

        async def refused() -> bool:
            return not (await toy.health.readiness()).ready and len(toy.health._holds) > 0

        await eventually(refused, what="readiness refused")
        await anyio.sleep(2)
        found = await standing(engine)
    assert found["dead"] < 40
    assert found["applied"] == 0


async def test_two_members_share_one_leaves_and_nothing_is_lost_or_doubled(
    stack: Stack, bare_database: Database, topics: Topics, engine: AsyncEngine
) -> None:
    values = [f"v{n}" for n in range(3000)]
    async with AsyncExitStack() as both:
        first = AsyncExitStack()
        await first.enter_async_context(
            running(stack.kafka, bare_database.profile, topics.prefix, member="a", batch_records=20)
        )
        await both.enter_async_context(
            running(stack.kafka, bare_database.profile, topics.prefix, member="b", batch_records=20)
        )
        for start in range(0, 1500, 100):
            await send(stack, topics, values[start : start + 100])
            await anyio.sleep(0.2)
        await first.aclose()
        await send(stack, topics, values[1500:])
        await until_passed(engine, len(values))
    assert await seen(engine) == Counter(values)
    async with engine.connect() as connection:
        rows = await connection.execute(text("SELECT worker, count(*) FROM seen GROUP BY 1"))
        loads = {row[0]: row[1] for row in rows}
    assert min(loads.values()) >= 0.2 * len(values), loads
    updates = await read_all(stack.kafka, topics.profile_updates)
    assert {record.value.decode() for record in updates} == set(values)


async def test_a_backlog_does_not_hold_up_calm_partitions_and_loses_nothing_beside_them(
    stack: Stack, bare_database: Database, topics: Topics, engine: AsyncEngine
) -> None:
    backlog, calm = [f"b{n}" for n in range(3000)], [f"c{n}" for n in range(5)]
    batches: list[list[str]] = []
    trouble = [Infrastructure("postgres", "away once")]

    def spy(records: Sequence[Record]) -> None:
        values = [(record.value or b"").decode() for record in records]
        if trouble and "c0" in values:
            raise trouble.pop()
        batches.append(values)
        time.sleep(len(values) / 5000)

    def messages(values: Sequence[str], partition: int) -> list[Message]:
        return [Message(topics.touchpoints, one.encode(), partition=partition) for one in values]

    await publish(stack.kafka, [*messages(["first0"], 0), *messages(["first1"], 1)])
    async with running(
        stack.kafka, bare_database.profile, topics.prefix, member="a", batch_records=1000, spy=spy
    ):
        await until_passed(engine, 2)
        await publish(
            stack.kafka,
            [*messages(backlog[:500], 0), *messages(calm, 1), *messages(backlog[500:], 0)],
        )
        await until_passed(engine, 2 + len(backlog) + len(calm))
    assert not trouble
    assert await seen(engine) == Counter(["first0", "first1", *backlog, *calm])
    order = [value for batch in batches for value in batch]
    assert [value for value in order if value.startswith("b")] == backlog
    assert order.index(calm[-1]) < order.index(backlog[-1000])


async def test_a_worker_whose_lease_was_taken_has_no_effect(
    stack: Stack, bare_database: Database, topics: Topics, engine: AsyncEngine
) -> None:
    await send(stack, topics, ["v0"])
    async with running(stack.kafka, bare_database.profile, topics.prefix, member="a") as toy:
        await until_passed(engine, 1)
        worker = toy.role.stages[0]["stream"].__self__  # type: ignore[attr-defined]
        (place,) = [place for place, offset in worker.owned.items() if offset == 1]
        epochs = dict(worker._keeper.epochs)
        async with engine.begin() as tx:
            await claim(tx, worker._keeper.group, "a", [place])
        late = Record(place.topic, place.partition, 1, 0, b"k", b"late", ())
        with pytest.raises(Fenced):
            await worker._commit([Span(place, 1, 2, [late])], epochs, None, 1)
        async with engine.begin() as tx:
            (position,) = (await lock(tx, worker._keeper.group, [place])).values()
    assert position.next_offset == 1
    assert await seen(engine) == Counter(["v0"])


async def test_aborted_transactions_leave_gaps_and_are_never_applied(
    stack: Stack, bare_database: Database, topics: Topics, engine: AsyncEngine
) -> None:
    producer = Producer(
        {"bootstrap.servers": stack.kafka, "transactional.id": topics.prefix, "linger.ms": 0}
    )
    producer.init_transactions(20)
    for value, commits in ((b"v1", True), (b"never", False), (b"v2", True)):
        producer.begin_transaction()
        producer.produce(topics.touchpoints, value, partition=3)
        producer.flush(10)
        if commits:
            producer.commit_transaction(20)
        else:
            producer.abort_transaction(20)
    async with running(stack.kafka, bare_database.profile, topics.prefix, member="a"):
        found = await until_passed(engine, 6)
    assert (found["applied"], found["gaps"]) == (2, 4)
    assert await seen(engine) == Counter(["v1", "v2"])


async def test_a_position_that_retention_has_passed_stops_and_never_jumps(
    stack: Stack, bare_database: Database, topics: Topics, engine: AsyncEngine
) -> None:
    await send(stack, topics, ["v0"])
    async with running(stack.kafka, bare_database.profile, topics.prefix, member="a"):
        await until_passed(engine, 1)
    async with engine.begin() as tx:
        await tx.execute(
            text(
                "UPDATE lease SET next_offset = 1000, base_offset = base_offset + 1000 - "
                "next_offset WHERE grp <> 'relay'"
            )
        )
    await send(stack, topics, [f"v{n}" for n in range(1, 50)])
    async with running(stack.kafka, bare_database.profile, topics.prefix, member="a") as toy:
        await eventually(
            lambda: hold(toy.health), until=lambda text: "no longer in the topic" in text
        )
    assert await seen(engine) == Counter(["v0"])


async def hold(health: Health) -> str:
    """Why the process is not ready."""
    return str(dict((await health.readiness()).checks))


def test_places_sort_by_topic_then_number() -> None:
    assert sorted([Place("b", 0), Place("a", 10), Place("a", 9)]) == [
        Place("a", 9),
        Place("a", 10),
        Place("b", 0),
    ]
