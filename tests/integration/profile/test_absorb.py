"""The hot path on a real PostgreSQL: stored once, merged, numbered, found again."""

import asyncio
from collections import Counter
from runpy import run_path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, event, text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.profile.storage import counters, identifiers
from services.profile.storage.tables import MIGRATIONS, SCHEMA, metadata
from services.profile.use_cases import absorb_touchpoints
from services.profile.use_cases.read_profile import (
    read_fate,
    read_merges,
    read_profile,
    read_profile_by_identifier,
    read_timeline,
)
from shared.errors import Infrastructure, NotFound, PartitionStopped
from shared.kafka.records import Place, Record
from shared.postgres.engine import create_engine
from shared.postgres.migrate import migrate
from shared.postgres.transaction import transaction
from tests.integration.profile.worker import Worker, records
from tests.support.postgres import empty_database
from tests.support.stack import Stack
from tests.unit.profile.world import order, touchpoint

USER, MAIL, BROWSER = ("user_id", "u"), ("email", "e@x.y"), ("anonymous_id", "a")


async def test_the_revisions_make_the_tables(engine: AsyncEngine) -> None:
    def drift(connection: Connection) -> list[object]:
        context = MigrationContext.configure(connection, opts={"include_name": _is_ours})
        return list(compare_metadata(context, metadata))

    async with engine.connect() as connection:
        assert await connection.run_sync(drift) == []


def _is_ours(name: str | None, kind: str, _: object) -> bool:
    partition = name is not None and name.startswith("touchpoint_") and name[11:].isdigit()
    return not (kind == "table" and (name == "alembic_version" or partition))


async def test_every_copy_is_counted_once_for_its_source(worker: Worker) -> None:
    shop = [touchpoint(n, USER) for n in range(1, 6)]
    till = [touchpoint(n, source="tills") for n in range(6, 8)]
    again = [{**one, "raw": {"topic": "channel.web", "partition": 3, "offset": 9}} for one in shop]
    for _ in range(2):  # the second time all of it is our own redelivery
        await worker.absorb(*shop, again[0], *till)
        await worker.absorb(again[0], again[1], shop[2], touchpoint(8, USER))
    async with transaction(worker.engine) as tx:
        assert await counters.read(tx, "shop") == (6, 2)
        assert await counters.read(tx, "tills") == (2, 0)
        assert await counters.read(tx, "nobody") == (0, 0)


async def test_a_batch_that_is_rolled_back_counts_nothing(worker: Worker) -> None:
    async with worker.engine.connect() as tx:
        await worker.handle(tx, touchpoint(1, USER))
        await tx.rollback()
    assert await worker.rows("SELECT * FROM touchpoint_counter") == []


async def test_workers_of_other_partitions_do_not_wait_for_a_counter(worker: Worker) -> None:
    first, second = [touchpoint(1, USER)], [touchpoint(2, MAIL)]
    async with transaction(worker.engine) as one, transaction(worker.engine) as other:
        await worker.handler(records(*first, partition=1), one)
        await asyncio.wait_for(worker.handler(records(*second, partition=2), other), 5)
    assert await worker.rows(
        "SELECT source, shard, accepted, duplicate FROM touchpoint_counter ORDER BY shard"
    ) == [("shop", 1, 1, 0), ("shop", 2, 1, 0)]


async def test_what_was_there_before_the_counters_is_counted(stack: Stack) -> None:
    async with empty_database(stack) as database:
        engine = create_engine(database.profile, schema=SCHEMA, application="test")
        await migrate(engine, folder=MIGRATIONS, schema=SCHEMA)
        worker = Worker(engine)
        copy = {**touchpoint(1, USER), "raw": {"topic": "x", "partition": 0, "offset": 77}}
        await worker.absorb(touchpoint(1, USER), touchpoint(2, USER), copy)
        before = await worker.rows("SELECT * FROM touchpoint_counter")
        async with transaction(engine) as tx:
            await tx.execute(text("DROP TABLE touchpoint_counter"))
            revision = run_path(str(MIGRATIONS / "versions" / "0002_touchpoint_counters.py"))
            for statement in revision["CHANGES"]:
                await tx.execute(text(statement.replace(":", "\\:")))
        assert (
            await worker.rows("SELECT * FROM touchpoint_counter") == before == [("shop", 0, 2, 1)]
        )
        await engine.dispose()


async def test_a_person_in_silos_becomes_one_profile(worker: Worker) -> None:
    await worker.absorb(
        touchpoint(1, BROWSER), order(2, MAIL, total="10.10", currency="EUR"), touchpoint(3, USER)
    )
    await worker.absorb(touchpoint(4, USER, MAIL), touchpoint(5, BROWSER, USER))
    (person,) = await worker.active()
    assert [one.type for one in person.identifiers] == ["user_id", "email", "anonymous_id"]
    assert person.computed[:3] == (5, 1, {"EUR": "10.10"})
    assert person.version == 3
    owners = await worker.rows("SELECT DISTINCT profile_id::text FROM identifier")
    assert owners == [(person.id,)]
    async with transaction(worker.engine) as tx:
        log = await read_merges(tx, person.id, limit=10)
        assert [one.winner for one in log] == [log[0].winner, person.id]
        assert {one.loser for one in log} | {person.id} == await _all_ids(worker)
        assert log[0].cause["touchpoint_id"] == touchpoint(4, USER)["id"]
        later = await read_merges(tx, person.id, limit=10, after=log[0].number)
        assert [one.id for one in later] == [log[1].id]
        for old in await _all_ids(worker):
            assert (await read_profile(tx, old)).id == person.id


@pytest.mark.parametrize("first", [4, 5])
async def test_merges_are_listed_as_they_happened_not_as_their_causes_were_received(
    worker: Worker, first: int
) -> None:
    await worker.absorb(touchpoint(1, BROWSER))
    await worker.absorb(touchpoint(2, MAIL))
    await worker.absorb(touchpoint(3, USER))
    await worker.absorb(touchpoint(first, MAIL, USER), touchpoint(9 - first, BROWSER, MAIL))
    (person,) = await worker.active()
    async with transaction(worker.engine) as tx:
        inner, outer = await read_merges(tx, person.id, limit=10)
    assert (inner.winner, outer.winner) == (outer.loser, person.id)
    assert [one.type for one in inner.moved] == ["user_id"]
    assert [one.type for one in outer.moved] == ["email", "user_id"]


async def test_a_redelivery_is_dropped_and_a_clients_duplicate_is_noted(worker: Worker) -> None:
    first = touchpoint(1, USER)
    copy = {**first, "raw": {"topic": "channel.web", "partition": 3, "offset": 99}}
    handled = await worker.absorb(first, first, copy)
    assert handled.deduped == Counter({Place("touchpoints", 0): 2})
    for _ in range(2):
        handled = await worker.absorb(copy, touchpoint(2, USER), first)
    assert handled.deduped == Counter({Place("touchpoints", 0): 3})
    (person,) = await worker.active()
    assert person.computed.touchpoints == 2
    noted = await worker.rows("SELECT raw_partition, raw_offset FROM touchpoint_duplicate")
    assert noted == [(3, 99)]
    async with transaction(worker.engine) as tx:
        assert await read_fate(tx, first["id"]) == (person.id, None, 1, "shop")
        with pytest.raises(NotFound):
            await read_fate(tx, touchpoint(77)["id"])


async def test_a_touchpoint_of_nobody_is_kept_with_its_reason(worker: Worker) -> None:
    gone = ("profile_id", "00000000-0000-7000-8000-000000000000")
    await worker.absorb(touchpoint(1), touchpoint(2, ("user_id", "null")), touchpoint(3, gone))
    assert await worker.rows("SELECT DISTINCT reason, anchor FROM touchpoint") == [
        ("no_identity", None)
    ]
    assert not await worker.active()
    assert not await worker.updates()


async def test_a_profile_id_hangs_its_touchpoint_on_the_strongest_identifier(
    worker: Worker,
) -> None:
    await worker.absorb(touchpoint(1, BROWSER), touchpoint(2, MAIL))
    old = await _all_ids(worker)
    await worker.absorb(touchpoint(3, MAIL, BROWSER))
    await worker.absorb(*(touchpoint(4 + n, ("profile_id", id_)) for n, id_ in enumerate(old)))
    (person,) = await worker.active()
    assert person.computed.touchpoints == 5
    async with transaction(worker.engine) as tx:
        timeline = await read_timeline(tx, await read_profile(tx, person.id), limit=10)
    assert len(timeline) == 5


async def test_a_timeline_is_read_in_pages_newest_first(worker: Worker) -> None:
    bodies = [touchpoint(n // 2, BROWSER if n % 3 else MAIL, message_id=f"x{n}") for n in range(9)]
    await worker.absorb(*bodies, touchpoint(20, BROWSER, MAIL))
    seen: list[str] = []
    async with transaction(worker.engine) as tx:
        stored = await read_profile_by_identifier(tx, *MAIL)
        before = None
        while page := await read_timeline(tx, stored, limit=4, before=before):
            seen += [one.id for one in page]
            before = (page[-1].occurred_at, page[-1].id)
    ordered = sorted(bodies, key=lambda one: (one["occurred_at"], one["id"]), reverse=True)
    assert seen == [touchpoint(20)["id"], *(one["id"] for one in ordered)]


async def test_batches_of_one_seven_and_all_publish_the_same_bytes(
    worker: Worker, engine: AsyncEngine
) -> None:
    people = 12
    bodies = [
        order(n, ("email", f"e{n % people}"), total=n, currency="EUR")
        if n % 3
        else touchpoint(n, ("user_id", f"u{n % people}"), ("email", f"e{n % people}"), BROWSER)
        for n in range(120)
    ]
    published = []
    for size in (1, 7, 1000):
        await worker.absorb_in_batches(bodies, size)
        published.append({p: [m.value for m in ms] for p, ms in (await worker.published()).items()})
        await _empty(engine)
    assert published[0] == published[1] == published[2]


async def test_a_batch_takes_thirteen_statements_at_most(worker: Worker) -> None:
    count: Counter[str] = Counter()

    @event.listens_for(worker.engine.sync_engine, "before_cursor_execute")
    def tally(_c: object, _cursor: object, statement: str, *_: object) -> None:
        count["all"] += "outbox" not in statement

    def batch(start: int) -> list[dict[str, object]]:
        mail, user = ("email", f"e{start}"), ("user_id", f"u{start}")
        return [touchpoint(start, mail), touchpoint(start + 1, user)]

    await worker.absorb(*batch(50), *batch(60))
    assert count["all"] == 13  # the first one also loads what is in force
    count.clear()
    await worker.absorb(*batch(0), *batch(10))
    assert count["all"] == 10
    count.clear()
    joint = touchpoint(21, ("email", "e0"), ("user_id", "u0"))
    await worker.absorb(*batch(30), joint)
    assert count["all"] <= 13


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"not json",
        b"{}",
        records(touchpoint(1, occurred_at="2026-11-21T10:00:00Z"))[0].value,
        records(touchpoint(1, id="ABC"))[0].value,
    ],
)
async def test_what_is_no_touchpoint_stops_the_partition(
    worker: Worker, value: bytes | None
) -> None:
    with pytest.raises(PartitionStopped, match=r"touchpoints-2.*offset 7"):
        async with transaction(worker.engine) as tx:
            await worker.handler([Record("touchpoints", 2, 7, 0, None, value, ())], tx)


async def test_a_worker_that_always_comes_second_gives_the_batch_back(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = 0

    async def too_late(*_: object) -> bool:
        nonlocal tries
        tries += 1
        return False

    monkeypatch.setattr(identifiers, "insert", too_late)
    with pytest.raises(Infrastructure):
        async with transaction(worker.engine) as tx:
            await worker.handle(tx, touchpoint(1, USER))
    assert tries == 3
    assert not await worker.rows("SELECT 1 FROM touchpoint")


async def test_every_crash_point_is_passed_in_order(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    passed: list[str] = []
    monkeypatch.setattr(absorb_touchpoints, "crash_point", passed.append)
    await worker.absorb(touchpoint(1, USER))
    assert tuple(passed) == absorb_touchpoints.POINTS


async def _all_ids(worker: Worker) -> set[str]:
    return {row[0] for row in await worker.rows("SELECT id::text FROM profile")}


async def _empty(engine: AsyncEngine) -> None:
    async with transaction(engine) as tx:
        await tx.execute(text("TRUNCATE profile, identifier, touchpoint, merge, evidence, outbox"))
