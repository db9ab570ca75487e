"""Statements on the driver itself: the same rows, the same transactions, the same errors."""

import asyncio
import os
import signal

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.errors import Infrastructure
from shared.postgres.direct import Direct, direct
from shared.postgres.transaction import transaction

COUNT = text("SELECT count(*) AS n FROM said")
SAY = text("INSERT INTO said (id, word) VALUES (:id, :word)")


@pytest.fixture
async def said(engine: AsyncEngine) -> AsyncEngine:
    async with transaction(engine) as tx:
        await tx.execute(text("CREATE TABLE said (id integer PRIMARY KEY, word text)"))
    return engine


async def test_a_row_is_read_by_name_and_by_place(engine: AsyncEngine) -> None:
    statement = text("SELECT CAST(:b AS integer) AS b, :a || :a AS twice, CAST(NULL AS text) AS c")
    async with direct(engine) as database:
        row = (await database.execute(statement, {"a": "x", "b": 7})).one()
    assert (row.b, row.twice, row.c) == (7, "xx", None) == tuple(row)
    assert row[:2] == (7, "xx")
    with pytest.raises(AttributeError):
        _ = row.d


async def test_one_is_exactly_one(engine: AsyncEngine) -> None:
    many = text("SELECT * FROM generate_series(1, :n)")
    async with direct(engine) as database:
        assert list((await database.execute(many, {"n": 3})).scalars()) == [1, 2, 3]
        assert len((await database.execute(many, {"n": 3})).all()) == 3
        for n in (0, 2):
            with pytest.raises(ValueError, match="values to unpack"):
                (await database.execute(many, {"n": n})).one()


async def test_a_block_is_a_transaction_and_a_statement_alone_is_one(said: AsyncEngine) -> None:
    async with direct(said) as database:
        await database.execute(SAY, {"id": 1, "word": "alone"})
        async with database.transaction():
            await database.execute(SAY, {"id": 2, "word": "kept"})
        with pytest.raises(KeyError):
            await _say_and_fail(database)
    async with transaction(said) as tx:
        assert (await tx.execute(COUNT)).scalar_one() == 2


async def _say_and_fail(database: Direct) -> None:
    async with database.transaction():
        await database.execute(SAY, {"id": 3, "word": "undone"})
        raise KeyError


async def test_a_connection_that_was_lost_is_not_given_again(engine: AsyncEngine) -> None:
    with pytest.raises(Infrastructure):
        await _lose(engine)
    for _ in range(10):  # more than the pool has
        async with direct(engine) as database:
            assert (await database.execute(text("SELECT 1 AS n"))).one().n == 1


async def _lose(engine: AsyncEngine) -> None:
    """Use a connection that the server has ended meanwhile."""
    async with direct(engine) as database:
        pid = (await database.execute(text("SELECT pg_backend_pid() AS pid"))).one().pid
        async with transaction(engine) as other:
            await other.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
        await database.execute(text("SELECT 1"))


async def test_what_an_interrupted_beginning_left_is_not_given_again(said: AsyncEngine) -> None:
    """Else the next transaction would be a part of one that nobody commits."""
    with pytest.raises(Infrastructure):
        await _interrupt(said)
    async with transaction(said) as tx:
        await tx.execute(SAY, {"id": 1, "word": "kept"})
    await said.dispose()
    async with transaction(said) as tx:
        assert (await tx.execute(COUNT)).scalar_one() == 1


async def _interrupt(engine: AsyncEngine) -> None:
    """Begin a transaction, and do not wait until a slow server says that it has begun."""
    async with direct(engine) as database:
        pid = (await database.execute(text("SELECT pg_backend_pid() AS pid"))).one().pid
        os.kill(pid, signal.SIGSTOP)
        try:
            async with asyncio.timeout(0.2), database.transaction():
                pass
        finally:
            os.kill(pid, signal.SIGCONT)
