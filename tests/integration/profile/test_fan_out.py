"""Events with an audience, page by page on a real database: every member once, whoever dies."""

import asyncio
from collections import Counter
from typing import Any

import msgspec
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.profile.storage import audience_jobs
from services.profile.storage.audience_jobs import Progress
from services.profile.use_cases import fan_out
from services.profile.use_cases.fan_out import FanOut
from shared.errors import Infrastructure
from shared.kafka.messages import PartitionCounts
from shared.postgres.outbox import decode_frame
from shared.postgres.transaction import transaction
from tests.integration.profile.worker import Worker
from tests.unit.profile.world import touchpoint

MEMBERS = {"attr": "profile.group", "op": "eq", "value": 0}
TOPIC = "channel.web"


def person(number: int, group: int) -> dict[str, Any]:
    return touchpoint(number, ("user_id", f"u{number}"), traits={"group": group})


def broadcast(number: int, condition: dict[str, Any] = MEMBERS, **fields: Any) -> dict[str, Any]:
    return touchpoint(number, audience=condition, properties={"shop": "Lyon"}, **fields)


def sweeper(engine: AsyncEngine, worker: Worker, **counts: int) -> FanOut:
    return FanOut(engine, counts=PartitionCounts({TOPIC: 4} | counts), rules=lambda: worker.rules)


async def until_done(*sweepers: FanOut, limit: int = 10) -> int:
    """Let the sweepers work side by side until nothing is open; how many pages it took."""

    async def work(one: FanOut) -> int:
        pages = 0
        while await one.advance(limit):
            pages += 1
        return pages

    return sum(await asyncio.gather(*map(work, sweepers)))


async def jobs(engine: AsyncEngine) -> list[Progress]:
    async with transaction(engine) as tx:
        return await audience_jobs.newest(tx, limit=100, before=None)


async def copies(worker: Worker) -> list[dict[str, Any]]:
    """Everything for the raw topic in the outbox."""
    found = await worker.rows(f"SELECT frame FROM outbox WHERE topic = '{TOPIC}' ORDER BY id")
    return [
        msgspec.json.decode(one.value or b"") for (frame,) in found for one in decode_frame(frame)
    ]


@pytest.fixture
async def people(worker: Worker) -> dict[int, list[str]]:
    """35 people in three groups: the ids of each."""
    await worker.absorb(*(person(n, n % 3) for n in range(35)))
    found: dict[int, list[str]] = {}
    for one in await worker.active():
        found.setdefault(one.traits["group"], []).append(one.id)
    await clear_outbox(worker.engine)
    return found


async def clear_outbox(engine: AsyncEngine) -> None:
    async with transaction(engine) as tx:
        await tx.execute(text("DELETE FROM outbox"))


async def test_each_member_has_one_copy_and_nobody_else(
    engine: AsyncEngine, worker: Worker, people: dict[int, list[str]]
) -> None:
    event = broadcast(100)
    await worker.absorb(event)
    (before,) = await jobs(engine)
    assert (before.status, before.of, before.message_id) == ("waiting", None, "m100")
    assert await until_done(sweeper(engine, worker)) == 4
    found = await copies(worker)
    assert [one["identifiers"] for one in found] == [
        [{"type": "profile_id", "value": id_}]
        for id_ in sorted(people[0], key=[one["identifiers"][0]["value"] for one in found].index)
    ]
    assert {one["id"] for one in found} == {f"m100:{id_}" for id_ in people[0]}
    assert len(found) == len(people[0]) == 12
    assert {one["properties"]["shop"] for one in found} == {"Lyon"}
    (job,) = await jobs(engine)
    assert (job.status, job.examined, job.of, job.matched, job.left_out) == ("done", 35, 35, 12, 0)
    assert job.started_at is not None
    assert job.finished_at is not None
    rows = await worker.rows(f"SELECT reason, anchor FROM touchpoint WHERE id = '{event['id']}'")
    assert rows == [("audience", None)]


async def test_the_same_event_again_starts_no_second_job(
    engine: AsyncEngine, worker: Worker, people: dict[int, list[str]]
) -> None:
    event = broadcast(100)
    duplicate = event | {"raw": {"topic": TOPIC, "partition": 1, "offset": 7}}
    await worker.absorb(event, duplicate)
    await until_done(sweeper(engine, worker))
    await worker.absorb(event, duplicate)
    assert await until_done(sweeper(engine, worker)) == 0
    assert len(await copies(worker)) == len(people[0])
    assert len(await jobs(engine)) == 1


async def test_two_sweepers_share_the_work(
    engine: AsyncEngine, worker: Worker, people: dict[int, list[str]]
) -> None:
    await worker.absorb(*(broadcast(100 + n) for n in range(5)))
    await until_done(*(sweeper(engine, worker) for _ in range(3)), limit=4)
    found = Counter(one["id"] for one in await copies(worker))
    assert set(found.values()) == {1}
    assert set(found) == {f"m{100 + n}:{id_}" for n in range(5) for id_ in people[0]}
    assert {job.status for job in await jobs(engine)} == {"done"}


async def test_who_was_merged_away_or_has_no_identifier_is_left_out(
    engine: AsyncEngine, worker: Worker, people: dict[int, list[str]]
) -> None:
    await worker.absorb(
        touchpoint(50, ("email", "a@b.c"), traits={"group": 0}),
        touchpoint(51, ("user_id", "u0"), ("email", "a@b.c")),
    )
    async with transaction(engine) as tx:
        nobody = {"id": people[1][0], "state": msgspec.msgpack.encode(["x", "x", {}, {}])}
        await tx.execute(text("UPDATE profile SET state = :state WHERE id = :id"), nobody)
    await clear_outbox(engine)
    everybody = {"not": {"consent": {"purpose": "none", "channel": "none"}}}
    await worker.absorb(broadcast(100, everybody))
    await until_done(sweeper(engine, worker))
    (job,) = await jobs(engine)
    assert (job.examined, job.of, job.matched, job.left_out) == (36, 36, 34, 1)
    expected = {id_ for group in people.values() for id_ in group} - {people[1][0]}
    assert {one["id"] for one in await copies(worker)} == {f"m100:{id_}" for id_ in expected}


async def test_a_page_that_fails_leaves_nothing_and_is_done_again(
    engine: AsyncEngine, worker: Worker, people: dict[int, list[str]]
) -> None:
    await worker.absorb(broadcast(100))
    without_topic = FanOut(engine, counts=PartitionCounts(), rules=lambda: worker.rules)
    with pytest.raises(Infrastructure):
        await without_topic.advance(10)
    (job,) = await jobs(engine)
    assert (job.status, job.examined, await copies(worker)) == ("waiting", 0, [])
    await until_done(sweeper(engine, worker))
    assert len(await copies(worker)) == len(people[0])


async def test_a_job_that_cannot_be_done_ends_and_the_next_has_its_turn(
    engine: AsyncEngine, worker: Worker, people: dict[int, list[str]]
) -> None:
    await worker.absorb(broadcast(100))
    await worker.absorb(broadcast(101))
    async with transaction(engine) as tx:
        await tx.execute(text("UPDATE audience_job SET condition = '[]' WHERE message_id = 'm100'"))
    one = sweeper(engine, worker)
    with pytest.raises(Exception, match="the audience breaks rules"):
        await one.advance(10)
    await one.give_up()
    await until_done(one)
    assert {job.message_id: job.status for job in await jobs(engine)} == {
        "m100": "failed",
        "m101": "done",
    }
    assert len(await copies(worker)) == len(people[0])


async def test_a_full_outbox_makes_it_wait(
    engine: AsyncEngine,
    worker: Worker,
    people: dict[int, list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fan_out, "MOST_FRAMES", 3)
    await worker.absorb(broadcast(100))
    one = sweeper(engine, worker)
    pages = await until_done(one, limit=5)
    assert 0 < pages < 7
    (job,) = await jobs(engine)
    assert job.status == "running"
    while job.status == "running":
        assert len(await worker.rows("SELECT 1 FROM outbox")) <= 3 + 4
        await clear_outbox(engine)
        await until_done(one, limit=5)
        (job,) = await jobs(engine)
    assert (job.status, job.matched) == ("done", len(people[0]))


async def test_large_copies_come_in_small_pages(
    engine: AsyncEngine,
    worker: Worker,
    people: dict[int, list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fan_out, "PAGE_BYTES", 3000)
    await worker.absorb(broadcast(100, context={"blob": "x" * 2500}))
    assert await until_done(sweeper(engine, worker), limit=100) == 36
    assert len(await copies(worker)) == len(people[0])


async def test_it_goes_no_faster_than_it_may(
    engine: AsyncEngine,
    worker: Worker,
    people: dict[int, list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fan_out, "COPIES_PER_SECOND", len(people[0]))
    await worker.absorb(broadcast(100), broadcast(101))
    began = asyncio.get_running_loop().time()
    await until_done(sweeper(engine, worker), limit=100)
    assert asyncio.get_running_loop().time() - began > 1.5
