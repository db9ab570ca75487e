"""The profile API on a database with people in it, one database for each test module.

Ada came as a browser and as a till customer, and became one person when she logged in. Bo has a
telephone. Cy is known by a card whose number looks like a path.
"""

from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine

from services.profile.api.app import create_app
from services.profile.storage.tables import MIGRATIONS, SCHEMA
from services.profile.use_cases.consent_links import LinkKeys
from shared.access import Role
from shared.contracts.topics import Topics
from shared.observability.health import Health
from shared.postgres.engine import create_engine
from shared.postgres.migrate import migrate
from tests.integration.profile.worker import Worker
from tests.support.api import calling, token_for_each_role
from tests.support.postgres import empty_database
from tests.support.stack import Stack
from tests.unit.profile.world import order, touchpoint

BROWSER, EMAIL, CARD = ("anonymous_id", "b-1"), ("email", "ada@example.com"), ("loyalty_id", "L1")
PHONE = ("phone", "+33612345678")
PATH_LIKE = ("loyalty_id", "a/b c%")
PEOPLE = [
    touchpoint(1, BROWSER, traits={"first_name": "Ada?", "locale": "fr-FR"}),
    touchpoint(2, EMAIL, traits={"first_name": "Ada", "score": 7, "tags": ["x"]}),
    order(3, CARD, total=99.9, currency="EUR", contact="ada@example.com"),
    touchpoint(4, BROWSER, EMAIL),
    touchpoint(5, EMAIL, CARD, traits={"first_name": "Ada B."}, source="crm"),
    order(6, EMAIL, total="60.00", currency="EUR"),
    touchpoint(7, PHONE),
    touchpoint(8, PATH_LIKE),
    touchpoint(9),
]


@pytest.fixture(scope="module")
async def engine(stack: Stack) -> AsyncIterator[AsyncEngine]:
    async with empty_database(stack) as database:
        made = create_engine(database.profile, schema=SCHEMA, application="test")
        await migrate(made, folder=MIGRATIONS, schema=SCHEMA)
        yield made
        await made.dispose()


@pytest.fixture(scope="module")
async def tokens(engine: AsyncEngine) -> dict[Role, str]:
    return await token_for_each_role(engine)


@pytest.fixture(scope="module")
async def worker(engine: AsyncEngine) -> Worker:
    """The worker that has absorbed everybody."""
    made = Worker(engine)
    await made.absorb_in_batches(PEOPLE, 1)
    return made


@pytest.fixture(scope="module")
def app(engine: AsyncEngine, worker: Worker) -> FastAPI:
    return create_app(
        engine,
        health=Health("profile-api", {}),
        topics=Topics(),
        counts=worker.counts,
        rules=lambda: worker.rules,
        keys=LinkKeys((b"k" * 32, b"old-key-" * 4), "http://concert"),
    )


@pytest.fixture
async def admin(app: FastAPI, tokens: dict[Role, str]) -> AsyncIterator[httpx.AsyncClient]:
    async with calling(app, tokens[Role.ADMIN]) as client:
        yield client


@pytest.fixture
async def viewer(app: FastAPI, tokens: dict[Role, str]) -> AsyncIterator[httpx.AsyncClient]:
    async with calling(app, tokens[Role.VIEWER]) as client:
        yield client
