"""On a young database, before its first ANALYZE, the hot statements still go by index."""

import re

import pytest
from sqlalchemy import TextClause
from sqlalchemy.ext.asyncio import AsyncEngine

from services.profile.storage import (
    audience_jobs,
    counters,
    deadlines,
    definition_jobs,
    exports,
    identifiers,
    listing,
    profiles,
    search,
    touchpoints,
)

HOT = {
    "insert touchpoints": touchpoints._INSERT,
    "raw positions": touchpoints._POSITIONS,
    "anchors": touchpoints._ANCHOR,
    "timeline": touchpoints._TIMELINE,
    "lock profiles": profiles._LOCK,
    "follow merges": profiles._CURRENT,
    "write profiles": profiles._WRITE,
    "add to counters": counters._ADD,
    "owners": identifiers._OWNERS,
    "insert identifiers": identifiers._INSERT,
    "move identifiers": identifiers._MOVE,
    "take an audience job": audience_jobs._TAKE,
    "page of profiles": listing._PAGE_OF_ALL,
    "profiles that are due": deadlines._DUE,
    "set deadlines": deadlines._PUT,
    "remove deadlines": deadlines._DELETE,
    "free profiles": profiles._LOCK_FREE,
    "history of identifiers": touchpoints._HISTORY,
    "profiles for definitions": definition_jobs._PAGE,
    "move an audience job": audience_jobs._MOVE,
    "search": search._FIND,
    "read results": search._READ,
    "timeline of some types": touchpoints._SOME,
    "timeline, oldest first": touchpoints._OLDEST_FIRST[touchpoints._TIMELINE],
    "resolve many": profiles._RESOLVE,
    "read many": profiles._READ_MANY,
    "ids for an export": exports._IDS,
    "part of an export": exports._PART,
}

ONE_ROW = "erasure_epoch"
"""There is nothing to look up in it."""


def numbered(statement: TextClause) -> tuple[str, int]:
    """The statement with `$1, $2 …` for its parameters, and how many there are."""
    names = list(dict.fromkeys(re.findall(r"(?<!:):(\w+)", statement.text)))
    text = re.sub(r"(?<!:):(\w+)", lambda found: f"${names.index(found[1]) + 1}", statement.text)
    return text, len(names)


@pytest.mark.parametrize("name", HOT)
async def test_no_table_is_scanned(engine: AsyncEngine, name: str) -> None:
    statement, parameters = numbered(HOT[name])
    async with engine.connect() as connection:
        driver = (await connection.get_raw_connection()).driver_connection
        assert driver is not None
        await driver.execute(f"PREPARE hot AS {statement}")
        nulls = f"({', '.join(['NULL'] * parameters)})" if parameters else ""
        rows = await driver.fetch(f"EXPLAIN EXECUTE hot {nulls}")
        await driver.execute("DEALLOCATE hot")
    plan = "\n".join(row[0] for row in rows)
    assert not re.findall(rf"Seq Scan on (?!{ONE_ROW}\b)", plan), plan
