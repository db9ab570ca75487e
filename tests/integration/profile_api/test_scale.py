"""A hundredth of `make scale`: its rows are the worker's, and ten thousand people are read,
searched and counted, exactly."""

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from bench import population, report, scale
from bench.population import PROFILE, Buyers, person, touchpoints
from bench.reading import measure_previews, measure_reads
from services.profile.api.app import create_app
from services.profile.domain.absorb import Rules
from services.profile.storage import search
from services.profile.storage.tables import MIGRATIONS, SCHEMA
from shared.access import Role
from shared.contracts.topics import Topics
from shared.observability.health import Health
from shared.postgres.engine import create_engine
from shared.postgres.migrate import migrate
from tests.integration.profile.test_plans import numbered
from tests.integration.profile.worker import Worker
from tests.support.api import calling, token_for_each_role
from tests.support.postgres import empty_database
from tests.support.stack import Stack

PEOPLE = 10_000
SOME = 300


@pytest.fixture(scope="module")
async def engine(stack: Stack) -> AsyncIterator[AsyncEngine]:
    """A database that has the people, loaded as `make scale` loads them."""
    async with empty_database(stack) as database:
        made = create_engine(database.profile, schema=SCHEMA, application="test")
        await migrate(made, folder=MIGRATIONS, schema=SCHEMA)
        yield made
        await made.dispose()


@pytest.fixture(scope="module")
async def buyers(engine: AsyncEngine) -> Buyers:
    url = engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    found = await population.load(url, 0, PEOPLE)
    await population.settle(url)
    return found


@pytest.fixture(scope="module")
async def tokens(engine: AsyncEngine) -> dict[Role, str]:
    return await token_for_each_role(engine)


@pytest.fixture(scope="module")
def app(engine: AsyncEngine, buyers: Buyers) -> FastAPI:
    worker = Worker(engine)
    return create_app(
        engine,
        health=Health("profile-api", {}),
        topics=Topics(),
        counts=worker.counts,
        rules=lambda: worker.rules,
    )


async def test_a_generated_row_is_the_row_that_the_worker_writes(stack: Stack) -> None:
    columns = {
        "profile": ", ".join(PROFILE),
        "identifier": "id, type, value, profile_id, status",
        "touchpoint": "id, anchor, occurred_at, raw_topic, raw_partition, raw_offset, reason, body",
    }
    stored: list[dict[str, list[tuple[object, ...]]]] = []
    for worker_writes in (True, False):
        async with empty_database(stack) as database:
            engine = create_engine(database.profile, schema=SCHEMA, application="test")
            await migrate(engine, folder=MIGRATIONS, schema=SCHEMA)
            if worker_writes:
                bodies = [one for n in range(SOME) for one in touchpoints(person(n))]
                await Worker(engine, Rules()).absorb_in_batches(bodies, 50)
            else:
                await population.load(database.profile, 0, SOME)
            async with engine.connect() as connection:
                stored.append(
                    {
                        table: [
                            tuple(row)
                            for row in await connection.execute(
                                text(f"SELECT {names} FROM {table} ORDER BY id")
                            )
                        ]
                        for table, names in columns.items()
                    }
                )
            await engine.dispose()
    written, generated = stored
    assert len(written["profile"]) == SOME
    assert generated == written


async def test_ten_thousand_people_are_read_searched_and_counted(
    app: FastAPI, tokens: dict[Role, str], buyers: Buyers, tmp_path: Path
) -> None:
    async with (
        calling(app, tokens[Role.VIEWER]) as masked,
        calling(app, tokens[Role.ADMIN]) as clear,
    ):
        reads = await measure_reads(masked, clear, people=PEOPLE, requests=100, cpu=dict)
        previews = await measure_previews(masked, buyers)
    assert 0 < buyers.in_city < buyers.anywhere < PEOPLE
    exact = [run for run in previews if run.exact]
    assert [run.count for run in exact] == [buyers.in_city, buyers.anywhere]
    [sampled] = [run for run in previews if not run.exact]
    assert abs(sampled.count - buyers.anywhere) < 0.1 * PEOPLE
    figures = scale.Scale("a machine", 0.0, PEOPLE, 1.0, reads, previews)
    section = scale.render(figures)
    assert section.count("\n| ") == 2 + len(reads) + len(previews)
    page = tmp_path / "page.md"
    page.write_text(f"before\n\n{report.LEARNED_TITLE}\nlearned\n")
    for _ in range(2):
        scale.put_into(page, section)
    assert page.read_text().count(section) == 1
    assert page.read_text().endswith(f"\n{report.LEARNED_TITLE}\nlearned\n")


async def blocks_read(engine: AsyncEngine, begin: str) -> int:
    """How many blocks the search for a beginning touches, by the plan that every process uses."""
    statement, _ = numbered(search._FIND)
    names = list(dict.fromkeys(re.findall(r"(?<!:):(\w+)", search._FIND.text)))
    given = {"limit": "20", "exact": f"ARRAY['{begin}']", "text_0": "''"}
    given |= {f"text_{n}": f"'{begin}'" for n in (1, 2, 3)}
    given |= {f"high_{n}": f"'{begin}\U0010ffff'" for n in (1, 2, 3)}
    given |= {f"id_{n}": f"'{UUID(int=0)}'" for n in range(4)}
    async with engine.connect() as connection:
        driver = (await connection.get_raw_connection()).driver_connection
        assert driver is not None
        await driver.execute(f"PREPARE found AS {statement}")
        explain = "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE found"
        values = ", ".join(given[name] for name in names)
        answer = await driver.fetchval(f"{explain} ({values})")
        await driver.execute("DEALLOCATE found")
    plan = answer[0]["Plan"]
    assert "Seq Scan" not in json.dumps(plan)
    return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])


async def test_a_search_reads_no_more_at_the_end_of_an_index(
    engine: AsyncEngine, buyers: Buyers
) -> None:
    assert await blocks_read(engine, "vi") < await blocks_read(engine, "ba") + 50


async def test_a_viewer_is_shown_nobody_in_clear(
    app: FastAPI, tokens: dict[Role, str], buyers: Buyers
) -> None:
    async with calling(app, tokens[Role.VIEWER]) as client:
        answer: httpx.Response = await client.get(f"/v1/profiles/{person(7).profile_id}")
    assert person(7).email not in answer.text
    assert answer.json()["computed"]["touchpoints"] == len(list(touchpoints(person(7))))
