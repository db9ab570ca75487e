"""The orchestrator's API on a migrated schema of its own, one database for each test module."""

import json
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
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
from services.orchestrator.api.send_test import Sending
from services.orchestrator.connectors.outgoing import Outgoing
from services.orchestrator.connectors.profile_definitions import ProfileDefinitions
from services.orchestrator.connectors.secret_files import SecretFolder
from services.orchestrator.domain.address_guard import AddressPolicy
from services.orchestrator.domain.estimates import Estimates
from services.orchestrator.domain.trigger_index import RuleSet
from services.orchestrator.use_cases.next_best_action import NextBestAction
from services.orchestrator.use_cases.prepare_channel import Preparing
from services.orchestrator.use_cases.rehearsal.request import Rehearsing
from shared.access import Role
from shared.conditions.leaves import leaf_hash
from shared.conditions.parse import parse_condition
from shared.conditions.tree import EventCount
from shared.contracts.topics import Topics
from shared.observability.health import Health
from shared.postgres.engine import create_engine
from shared.postgres.migrate import migrate
from tests.integration.orchestrator.stage import COUNTS, ask_for_topics
from tests.support.api import calling, token_for_each_role
from tests.support.kafka import new_prefix, standard_topics
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


@dataclass
class AnswersOfProfileService:
    """What the profile service answers when rules are published, as tests set it."""

    leaves: dict[str, bool] = field(default_factory=dict)
    segments: set[str] = field(default_factory=set)
    traits: dict[str, str | None] = field(default_factory=dict)
    classes: dict[str, str] = field(default_factory=dict)
    away: bool = False

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if self.away:
            raise httpx.ConnectError("refused", request=request)
        if request.url.path == "/v1/leaves":
            asked = [leaf_hash(leaf) for leaf in map(_leaf, json.loads(request.content)["leaves"])]
            states = {name: "ready" if self.leaves.get(name) else "warming" for name in asked}
            shown = [{"hash": name, "leaf": {}, "state": state} for name, state in states.items()]
            return httpx.Response(200, json=shown)
        if request.url.path == "/v1/traits:catalogue":
            items = [
                {"attr": attr, "type": type_, "pii": self.classes.get(attr)}
                for attr, type_ in self.traits.items()
            ]
            return httpx.Response(200, json={"items": items})
        key = request.url.path.rpartition("/")[2]
        if key not in self.segments:
            return httpx.Response(404)
        return httpx.Response(200, json={"key": key, "status": "live"})


def _leaf(document: object) -> EventCount:
    found = parse_condition(document, allow_event_leaves=True)
    assert isinstance(found, EventCount)
    return found


ANSWERS = AnswersOfProfileService()
DEFINITIONS = ProfileDefinitions(
    httpx.AsyncClient(transport=httpx.MockTransport(ANSWERS), base_url="http://profile")
)


@pytest.fixture
def profile_service() -> Iterator[AnswersOfProfileService]:
    """What the profile service answers; nothing is there until the test says so."""
    ANSWERS.leaves, ANSWERS.segments, ANSWERS.away, ANSWERS.traits = {}, set(), False, {}
    ANSWERS.classes = {}
    yield ANSWERS
    ANSWERS.away = False


@pytest.fixture
def definitions() -> ProfileDefinitions:
    """The client that the API asks the profile service with."""
    return DEFINITIONS


SECRETS = Path(CHECKOUT) / "tests" / "data"
"""A folder that has no secret of any name that tests use."""


async def resolve(host: str, _: int) -> Sequence[str]:
    """A name server of the tests: what is inside, what is outside, and nothing else."""
    known = {"inside.example.com": ["10.0.0.7"], "hooks.example.com": ["93.184.215.14"]}
    if host not in known:
        raise OSError(host)
    return known[host]


@pytest.fixture(scope="module")
def app(engine: AsyncEngine) -> FastAPI:
    return make_app(engine, shiftable_clock=True)


async def nobody(_type: str, _value: str) -> None:
    """A profile service that knows nobody."""


KEPT_SINCE = datetime.fromisoformat("2026-10-01T00:00:00Z")
"""Since when updates are recorded, where a test has no Kafka."""


async def kept_since() -> datetime:
    return KEPT_SINCE


def make_app(
    engine: AsyncEngine,
    *,
    shiftable_clock: bool,
    rules: Callable[[], RuleSet] = ruleset,
    rehearsing: Rehearsing | None = None,
) -> FastAPI:
    transport = httpx.MockTransport(answer_as_profile_service)
    profiles = ProfileClient(httpx.AsyncClient(transport=transport, base_url="http://profile"))
    asking = Asking(
        NextBestAction(engine, ruleset=rules, topics=Topics(), counts=COUNTS),
        rules,
        nobody,
        b"key",
    )
    return create_app(
        engine,
        health=Health("orchestrator-api", {}),
        profiles=profiles,
        asking=asking,
        definitions=DEFINITIONS,
        preparing=Preparing(
            Outgoing(AddressPolicy(), resolve=resolve), SecretFolder(SECRETS), ask_for_topics
        ),
        sending=Sending(Topics(), COUNTS),
        rehearsing=rehearsing or Rehearsing(kept_since, Estimates),
        shiftable_clock=shiftable_clock,
        topics=Topics(),
        counts=COUNTS,
    )


@pytest.fixture
async def admin(app: FastAPI, tokens: dict[Role, str]) -> AsyncIterator[httpx.AsyncClient]:
    async with calling(app, tokens[Role.ADMIN]) as client:
        yield client


@pytest.fixture(scope="module")
async def module_topics(stack: Stack) -> AsyncIterator[Topics]:
    """Topics for all tests of a module."""
    async with standard_topics(stack.kafka, new_prefix()) as topics:
        yield topics
