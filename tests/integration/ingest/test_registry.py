"""What a process knows of sources and keys, and what it does when PostgreSQL is away."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from services.ingest.domain.source import Source
from services.ingest.storage import registry as registry_module
from services.ingest.storage.registry import Registry
from services.ingest.storage.tables import SCHEMA
from services.ingest.use_cases.issue_source_key import issue_source_key
from services.ingest.use_cases.register_source import register_source
from services.ingest.use_cases.revoke_source_key import revoke_source_key
from shared.errors import Infrastructure
from shared.postgres.audit import Who
from shared.postgres.engine import create_engine
from tests.support.eventually import eventually
from tests.support.postgres import Database

WHO = Who("t", "tester")
SHOP = Source(id="shop", name="Shop", channel="web")


@pytest.fixture
async def engine(database: Database) -> AsyncIterator[AsyncEngine]:
    """Ingest's way to the database."""
    made = create_engine(database.ingest, schema=SCHEMA, application="test")
    yield made
    await made.dispose()


async def test_another_process_s_changes_are_seen_in_time(engine: AsyncEngine) -> None:
    registry = Registry(engine)
    assert await registry.sources() == {}
    await register_source(engine, SHOP, WHO)
    stored, key = await issue_source_key(engine, "shop", WHO)
    await eventually(lambda: registry.source_of(key), until=lambda found: found == SHOP, within=1)
    await revoke_source_key(engine, "shop", stored.id, WHO)

    async def refused() -> bool:
        return await registry.source_of(key) is None

    await eventually(refused, within=5)
    assert (await registry.sources())["shop"] == SHOP


async def test_many_who_come_at_once_with_a_new_key_are_all_let_in(engine: AsyncEngine) -> None:
    registry = Registry(engine)
    await registry.sources()
    await register_source(engine, SHOP, WHO)
    _, key = await issue_source_key(engine, "shop", WHO)
    registry.forget()
    found = await asyncio.gather(*(registry.source_of(key) for _ in range(20)))
    assert found == [SHOP] * 20


async def test_its_own_changes_are_seen_at_once(engine: AsyncEngine) -> None:
    registry = Registry(engine)
    await registry.sources()
    await register_source(engine, SHOP, WHO)
    registry.forget()
    assert await registry.sources() == {"shop": SHOP}


async def test_what_is_known_holds_while_postgres_is_away(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = Registry(engine)
    await register_source(engine, SHOP, WHO)
    _, key = await issue_source_key(engine, "shop", WHO)
    assert await registry.source_of(key) == SHOP
    away = create_engine("postgresql://u@127.0.0.1:9/x", schema=SCHEMA, application="test")
    monkeypatch.setattr(registry, "_engine", away)
    monkeypatch.setattr(registry_module, "REFRESH_SECONDS", 0.0)
    monkeypatch.setattr(registry_module, "UNKNOWN_KEY_SECONDS", 0.0)
    assert await registry.source_of(key) == SHOP
    assert await registry.sources() == {"shop": SHOP}
    with pytest.raises(Infrastructure):
        await registry.source_of("csk_new")
    with pytest.raises(Infrastructure):
        await Registry(away).sources()
    await away.dispose()
