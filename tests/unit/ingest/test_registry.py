"""The registry beside a database that hangs, answers late, or comes back."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from services.ingest.domain.source import Source
from services.ingest.domain.source_key import key_hash
from services.ingest.storage import registry as registry_module
from services.ingest.storage import sources
from services.ingest.storage.registry import Registry
from services.ingest.storage.sources import LiveKey
from shared import clock
from shared.errors import Infrastructure

SHOP = Source(id="shop", name="Shop", channel="web")
NOBODY = cast(AsyncEngine, None)
LATE = 0.6
"""How long a database that hangs keeps a reading waiting, before it fails."""


class Database:
    """Answers each reading with what is in it, after `seconds`; then fails if it is `away`."""

    def __init__(self) -> None:
        self.sources = {"shop": SHOP}
        self.keys = {key_hash("csk_known"): LiveKey("shop", ["collect"], None)}
        self.seconds = 0.0
        self.away = False
        self.readings = 0

    @asynccontextmanager
    async def transaction(self, _: AsyncEngine) -> AsyncIterator[None]:
        self.readings += 1
        await asyncio.sleep(self.seconds)
        if self.away:
            raise Infrastructure("postgres", "hangs")
        yield

    async def everything(self, _: None) -> tuple[Any, Any]:
        return dict(self.sources), dict(self.keys)


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch) -> Database:
    """One to a twentieth of the real times."""
    database = Database()
    monkeypatch.setattr(registry_module, "transaction", database.transaction)
    monkeypatch.setattr(sources, "everything", database.everything)
    monkeypatch.setattr(registry_module, "REFRESH_SECONDS", 0.1)
    monkeypatch.setattr(registry_module, "UNKNOWN_KEY_SECONDS", 0.01)
    monkeypatch.setattr(registry_module, "HELD_SECONDS", 0.025)
    return database


async def test_a_database_that_hangs_holds_up_nobody_whose_key_is_known(database: Database) -> None:
    registry = Registry(NOBODY)
    assert await registry.source_of("csk_known") == SHOP
    database.seconds, database.away = LATE, True
    waits = []

    async def call(after: float) -> None:
        await asyncio.sleep(after)
        asked_at = clock.monotonic_seconds()
        assert await registry.source_of("csk_known") == SHOP
        waits.append(clock.monotonic_seconds() - asked_at)

    await asyncio.gather(*(call(0.1 + n * 0.05) for n in range(20)))
    assert max(waits) < LATE / 2, "nobody waits for a reading that hangs"
    assert database.readings <= 5, "and a reading is followed by a pause"


async def test_strangers_beside_a_hanging_database_share_a_reading(database: Database) -> None:
    registry = Registry(NOBODY)
    await registry.sources()
    database.seconds, database.away = LATE, True
    await asyncio.sleep(0.02)
    asked_at = clock.monotonic_seconds()
    answers = await asyncio.gather(
        *(registry.source_of(f"csk_{n}") for n in range(20)), return_exceptions=True
    )
    assert all(isinstance(answer, Infrastructure) for answer in answers)
    assert clock.monotonic_seconds() - asked_at < 3 * LATE
    assert database.readings == 2


async def test_a_slow_database_lets_in_everybody_with_a_new_key(database: Database) -> None:
    registry = Registry(NOBODY)
    await registry.sources()
    database.seconds = LATE
    database.keys[key_hash("csk_new")] = LiveKey("shop", ["collect"], None)
    await asyncio.sleep(0.02)
    assert await asyncio.gather(*(registry.source_of("csk_new") for _ in range(20))) == [SHOP] * 20
    assert database.readings == 2


async def test_who_goes_away_takes_the_reading_from_nobody(database: Database) -> None:
    registry = Registry(NOBODY)
    database.seconds = 0.05
    first = asyncio.create_task(registry.sources())
    await asyncio.sleep(0.01)
    second = asyncio.create_task(registry.sources())
    await asyncio.sleep(0)
    first.cancel()
    assert await second == {"shop": SHOP}
    assert database.readings == 1


async def test_its_own_change_is_read_though_a_reading_is_under_way(database: Database) -> None:
    registry = Registry(NOBODY)
    await registry.sources()
    registry.forget()
    database.seconds = 0.01
    early = asyncio.create_task(registry.sources())
    await asyncio.sleep(0.001)
    registry.forget()
    assert await registry.sources() == {"shop": SHOP}
    assert database.readings == 3
    await early


async def test_without_any_copy_the_trouble_is_said_and_then_over(database: Database) -> None:
    registry = Registry(NOBODY)
    database.away = True
    with pytest.raises(Infrastructure):
        await registry.sources()
    database.away = False
    assert await registry.sources() == {"shop": SHOP}
