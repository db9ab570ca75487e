"""The local stack itself: logins, clock, topics, and how it behaves when something is wrong."""

import asyncpg

from shared.contracts.topics import Topics
from tests.support.kafka import Message, end_offsets, publish, read_all
from tests.support.postgres import Database
from tests.support.stack import Stack


async def test_a_login_sees_its_own_schema_and_the_clock_and_nothing_else(
    bare_database: Database,
) -> None:
    profile = await asyncpg.connect(bare_database.profile)
    assert await profile.execute("CREATE TABLE profile.own (n int)")
    await profile.close()


async def test_large_records(stack: Stack, topics: Topics) -> None:
    big = bytes(2 * 1024 * 1024 - 4096)
    await publish(
        stack.kafka,
        [Message(topics.channel("web"), big, b"k"), Message(topics.channel("web"), None, b"k")],
    )
    records = await read_all(stack.kafka, topics.channel("web"))
    assert [r.value for r in records] == [big, None]
    assert sum((await end_offsets(stack.kafka, topics.channel("web"))).values()) == 2


async def test_clone(database: Database) -> None:
    profile = await asyncpg.connect(database.profile)
    assert await profile.fetchval("SELECT clock.now() - clock_timestamp() < '1s'")
    await profile.close()
