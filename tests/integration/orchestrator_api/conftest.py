"""The orchestrator's API on a migrated schema of its own, one database for each test module."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine

from deploy.local.home import CHECKOUT
from services.orchestrator.api.app import create_app
from services.orchestrator.api.decide import Asking
from services.orchestrator.api.profile_client import ProfileClient
from services.orchestrator.use_cases.next_best_action import NextBestAction
from shared.access import Role
from shared.contracts.topics import Topics
from shared.observability.health import Health
from shared.postgres.engine import create_engine
from shared.postgres.migrate import migrate
from tests.integration.orchestrator.stage import COUNTS
from tests.support.api import calling, token_for_each_role
from tests.support.postgres import empty_database
from tests.support.stack import Stack
from tests.unit.orchestrator.build import ruleset

SCHEMA = "orchestrator"
MIGRATIONS = Path(CHECKOUT) / "services" / SCHEMA / "storage" / "migrations"


@pytest.fixture(scope="module")
async def engine(stack: Stack) -> AsyncIterator[AsyncEngine]:
    async with empty_database(stack) as database:
        made = create_engine(database.orchestrator, schema=SCHEMA, application="test")
        await migrate(made, folder=MIGRATIONS, schema=SCHEMA)
        yield made
        await made.dispose()


@pytest.fixture(scope="module")
async def tokens(engine: AsyncEngine) -> dict[Role, str]:
    return await token_for_each_role(engine)


PROFILES: dict[str, Any] = {
    "01930000-0000-7000-8000-000000000001": {
        "id": "01930000-0000-7000-8000-000000000001",
        "traits": {"first_name": "Ada", "locale": "fr-FR"},
        "computed": {"touchpoints": 3},
    },
    "01930000-0000-7000-8000-000000000002": {
        "id": "01930000-0000-7000-8000-000000000002",
        "traits": {},
        "computed": {"touchpoints": 0},
    },
}
MASKED: dict[str, Any] = {"first_name": "A***", "locale": "fr-FR"}


def answer_as_profile_service(request: httpx.Request) -> httpx.Response:
    """A profile service that knows two people, and is away for whoever asks for the third."""
    profile_id = request.url.path.rpartition("/")[2]
    if profile_id.endswith("3"):
        raise httpx.ReadTimeout("too slow", request=request)
    if profile_id not in PROFILES:
        return httpx.Response(404)
    profile = PROFILES[profile_id]
    if request.url.params.get("masked") == "true" and profile["traits"]:
        profile = profile | {"traits": MASKED}
    return httpx.Response(200, json=profile)


@pytest.fixture(scope="module")
def app(engine: AsyncEngine) -> FastAPI:
    return make_app(engine, shiftable_clock=True)


def make_app(engine: AsyncEngine, *, shiftable_clock: bool) -> FastAPI:
    transport = httpx.MockTransport(answer_as_profile_service)
    profiles = ProfileClient(httpx.AsyncClient(transport=transport, base_url="http://profile"))
    asking = Asking(
        NextBestAction(engine, ruleset=ruleset, topics=Topics(), counts=COUNTS), ruleset, b"key"
    )
    return create_app(
        engine,
        health=Health("orchestrator-api", {}),
        profiles=profiles,
        asking=asking,
        shiftable_clock=shiftable_clock,
    )


@pytest.fixture
async def admin(app: FastAPI, tokens: dict[Role, str]) -> AsyncIterator[httpx.AsyncClient]:
    async with calling(app, tokens[Role.ADMIN]) as client:
        yield client
