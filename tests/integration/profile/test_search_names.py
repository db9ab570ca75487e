"""The names that people are searched by: kept by the worker, filled in by the migration."""

import msgspec
from sqlalchemy import text

from services.profile.storage.tables import MIGRATIONS, SCHEMA
from shared.ids import random_id
from shared.postgres.engine import create_engine
from shared.postgres.migrate import migrate
from tests.integration.profile.worker import Worker
from tests.support.postgres import empty_database
from tests.support.stack import Stack
from tests.unit.profile.world import touchpoint

NAMES = "SELECT first_last, last_first FROM profile WHERE status = 'active' ORDER BY id"
U1, U2, MAIL = ("user_id", "u1"), ("loyalty_id", "l1"), ("email", "a@b.c")


async def test_the_worker_keeps_names_as_they_change(worker: Worker) -> None:
    await worker.absorb(touchpoint(1, U1, traits={"first_name": "Zoë", "last_name": "Ek"}))
    assert await worker.rows(NAMES) == [("zoe ek", "ek zoe")]
    await worker.absorb(touchpoint(2, U1))
    assert await worker.rows(NAMES) == [("zoe ek", "ek zoe")]
    await worker.absorb(touchpoint(3, U1, traits={"last_name": None}))
    assert await worker.rows(NAMES) == [("zoe", "")]
    await worker.absorb(touchpoint(4, U1, traits={"first_name": None, "city": "Gent"}))
    assert await worker.rows(NAMES) == [("", "")]


async def test_a_merge_leaves_the_name_with_the_winner(worker: Worker) -> None:
    await worker.absorb(touchpoint(1, U1, MAIL))
    await worker.absorb(touchpoint(2, U2, traits={"first_name": "Ada"}))
    assert await worker.rows(NAMES) == [("", ""), ("ada", "")]
    await worker.absorb(touchpoint(3, U2, MAIL))
    assert await worker.rows(NAMES) == [("ada", "")]
    lost = "SELECT first_last, last_first FROM profile WHERE status = 'merged'"
    assert await worker.rows(lost) == [("", "")]


async def test_names_from_before_are_filled_in(stack: Stack) -> None:
    people: dict[str, dict[str, object]] = {
        str(random_id()): {"first_name": f"Né{n}", "last_name": "Ort"} if n % 2 else {"city": "x"}
        for n in range(11)
    }
    odd = str(random_id())
    people[odd] = {"first_name": {"not": "text"}, "last_name": "Øst"}
    async with empty_database(stack) as database:
        engine = create_engine(database.profile, schema=SCHEMA, application="test")
        await migrate(engine, folder=MIGRATIONS, schema=SCHEMA, revision="0006")
        async with engine.begin() as connection:
            await connection.execute(
                text(
                    """
                    INSERT INTO profile (id, status, seq, n_merges, state, created_at, last_seen_at,
                                         facts)
                    SELECT CAST(id AS uuid), 'active', 1, 0, '', now(), now(), CAST(facts AS jsonb)
                      FROM unnest(CAST(:ids AS text[]), CAST(:facts AS text[])) AS new (id, facts)
                    """
                ),
                {
                    "ids": list(people),
                    "facts": [msgspec.json.encode({"traits": t}).decode() for t in people.values()],
                },
            )
        await migrate(engine, folder=MIGRATIONS, schema=SCHEMA)
        async with engine.connect() as connection:
            rows = await connection.execute(text("SELECT id::text, first_last FROM profile"))
            found = {row[0]: row[1] for row in rows}
        await engine.dispose()
    assert {id_: found[id_] for id_ in people if "city" in people[id_]} == {
        id_: None for id_ in people if "city" in people[id_]
    }
    assert sorted(found[id_] for id_ in people if "first_name" in people[id_]) == [
        *(f"ne{n} ort" for n in (1, 3, 5, 7, 9)),
        "ost",
    ]
