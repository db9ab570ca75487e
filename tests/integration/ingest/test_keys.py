"""Keys of a source: two for rotation, an end by date, and what ends them everywhere."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from services.ingest.domain.source import Source
from services.ingest.storage.registry import Registry
from services.ingest.storage.tables import SCHEMA
from services.ingest.use_cases.issue_source_key import issue_source_key
from services.ingest.use_cases.register_source import register_source
from shared import clock
from shared.contracts.times import rfc3339
from shared.errors import Conflict
from shared.postgres.audit import Who
from shared.postgres.engine import create_engine
from tests.integration.ingest.conftest import Ingest
from tests.support.eventually import eventually
from tests.support.postgres import Database

WHO = Who("t", "tester")
EVENT = b'{"event":"Seen","userId":"u"}'


@pytest.fixture
async def engine(database: Database) -> AsyncIterator[AsyncEngine]:
    """Ingest's way to the database, with one source in it."""
    made = create_engine(database.ingest, schema=SCHEMA, application="test")
    await register_source(made, Source(id="shop", name="Shop", channel="web"), WHO)
    yield made
    await made.dispose()


async def test_two_active_keys_for_rotation(ingest: Ingest) -> None:
    source, old = await ingest.source()
    path = f"/v1/sources/{source}/keys"
    new = (await ingest.admin.post(path)).json()["key"]
    for key in (old, new):
        assert (await ingest.send("/v1/track", EVENT, key)).status_code == 200
    third = await ingest.admin.post(path)
    assert third.status_code == 409
    first, second = (await ingest.admin.get(f"/v1/sources/{source}")).json()["keys"]
    assert "at most 2 active keys" in third.json()["detail"]
    assert first["id"] in third.json()["detail"]
    assert (await ingest.admin.delete(f"{path}/{first['id']}")).status_code == 204
    assert (await ingest.send("/v1/track", EVENT, old)).status_code == 401
    assert (await ingest.send("/v1/track", EVENT, new)).status_code == 200
    assert (await ingest.admin.post(path)).status_code == 201
    assert second["scopes"] == ["collect"]
    assert second["expires_at"] is None


async def test_of_many_who_ask_at_once_two_get_a_key(engine: AsyncEngine) -> None:
    asked = [issue_source_key(engine, "shop", WHO) for _ in range(5)]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert sum(isinstance(answer, Conflict) for answer in answers) == 3
    assert sum(isinstance(answer, tuple) for answer in answers) == 2


async def test_a_key_with_an_end(ingest: Ingest) -> None:
    source, _ = await ingest.source()
    path = f"/v1/sources/{source}/keys"
    ends = clock.now() + timedelta(seconds=4)
    made = (await ingest.admin.post(path, json={"expires_at": rfc3339(ends)})).json()
    assert (await ingest.send("/v1/track", EVENT, made["key"])).status_code == 200
    answer = await eventually(
        lambda: ingest.send("/v1/track", EVENT, made["key"]),
        until=lambda one: one.status_code == httpx.codes.UNAUTHORIZED,
        within=9,
    )
    assert answer.status_code == 401
    assert clock.now() >= ends, "not before its time"
    assert (await ingest.admin.post(path)).status_code == 201, "an expired key is not active"


async def test_a_key_does_what_its_scopes_say(ingest: Ingest) -> None:
    """A web page shows its key to everybody: it does not let them read."""
    source, collecting = await ingest.source()
    reading = await ingest.key(source, "read")
    other, _ = await ingest.source()
    both = await ingest.key(other, "read", "collect")
    for key, collects, reads in (
        (collecting, True, False),
        (reading, False, True),
        (both, True, True),
    ):
        sent = await ingest.send("/v1/track", EVENT, key)
        assert sent.status_code == (200 if collects else 403)
        async with httpx.AsyncClient(base_url=ingest.url, auth=(key, "")) as client:
            for path in ("/v1/events/e-1", "/v1/live?source=another"):
                asked = await client.get(path)
                if reads:
                    assert "scope" not in asked.text
                else:
                    assert asked.status_code == 403
                    assert "scope read" in asked.json()["detail"]


@pytest.mark.parametrize(
    "body",
    [
        {"expires_at": "2020-01-01T00:00:00Z"},
        {"expires_at": "2099-01-01T00:00:00"},
        {"expires_at": "soon"},
        {"scopes": []},
        {"scopes": ["everything"]},
        {"scopes": ["collect", "collect"]},
        {"colour": "red"},
    ],
)
async def test_what_a_key_cannot_be(ingest: Ingest, body: dict[str, object]) -> None:
    source, _ = await ingest.source()
    answer = await ingest.admin.post(f"/v1/sources/{source}/keys", json=body)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["path"].startswith(next(iter(body)))
    assert len((await ingest.admin.get(f"/v1/sources/{source}")).json()["keys"]) == 1


async def test_an_end_holds_by_the_copy_s_own_clock(engine: AsyncEngine) -> None:
    """Also while PostgreSQL is away and nothing can be read anew."""
    moment = clock.now()
    registry = Registry(engine, now=lambda: moment)
    _, key = await issue_source_key(engine, "shop", WHO, expires_at=moment + timedelta(hours=1))
    assert await registry.source_of(key) is not None
    moment += timedelta(minutes=59, seconds=59)
    assert await registry.source_of(key) is not None
    moment += timedelta(seconds=1)
    assert await registry.source_of(key) is None
