"""`POST /v1/decide` over HTTP: its body, its limits, and the profile service behind it."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec
import pytest
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine

from services.orchestrator.api.app import create_app
from services.orchestrator.api.decide import Asking
from services.orchestrator.api.profile_client import ProfileClient
from services.orchestrator.api.send_test import Sending
from services.orchestrator.connectors.outgoing import Outgoing
from services.orchestrator.connectors.secret_files import SecretFolder
from services.orchestrator.domain.address_guard import AddressPolicy
from services.orchestrator.domain.ask import Person
from services.orchestrator.domain.estimates import Estimates
from services.orchestrator.use_cases.next_best_action import NextBestAction
from services.orchestrator.use_cases.prepare_channel import Preparing
from services.orchestrator.use_cases.rehearsal.request import Rehearsing
from shared.access import Role
from shared.contracts.profile_update import snapshot_decoder
from shared.contracts.topics import Topics
from shared.errors import Gone, Infrastructure
from shared.observability.health import Health
from tests.integration.orchestrator.asking import asked_rule
from tests.integration.orchestrator.stage import COUNTS, ask_for_topics
from tests.integration.orchestrator_api.conftest import DEFINITIONS, kept_since
from tests.support.api import calling
from tests.unit.orchestrator.build import profile_json, ruleset, uid

RULES = ruleset(
    asked_rule("offer", "kiosk", "app", score={"value": 2}),
    asked_rule("receipt", "kiosk", "app", category="transactional", score={"value": 1}),
)


class ProfileService:
    """Knows Ada by her card, unless it is away."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.away = False

    async def person(self, type_: str, value: str) -> Person | None:
        self.asked.append((type_, value))
        if self.away:
            raise Infrastructure("profile", "does not answer")
        if (type_, value) == ("profile_id", uid("erased")):
            raise Gone("The person of this profile was erased.")
        if (type_, value) not in (("loyalty_id", "L 1/é"), ("profile_id", uid("ada"))):
            return None
        told = msgspec.json.encode(profile_json(uid("ada")))
        return Person(uid("ada"), 7, snapshot_decoder.decode(told), told)


@pytest.fixture
def profile_service() -> ProfileService:
    return ProfileService()


@pytest.fixture
async def till(
    engine: AsyncEngine, tokens: dict[Role, str], profile_service: ProfileService
) -> AsyncIterator[httpx.AsyncClient]:
    app: FastAPI = create_app(
        engine,
        health=Health("orchestrator-api", {}),
        profiles=ProfileClient(httpx.AsyncClient()),
        asking=Asking(
            NextBestAction(engine, ruleset=lambda: RULES, topics=Topics(), counts=COUNTS),
            lambda: RULES,
            profile_service.person,
            b"key",
        ),
        definitions=DEFINITIONS,
        preparing=Preparing(Outgoing(AddressPolicy()), SecretFolder(None), ask_for_topics),
        sending=Sending(Topics(), COUNTS),
        rehearsing=Rehearsing(kept_since, Estimates),
        topics=Topics(),
        counts=COUNTS,
        shiftable_clock=True,
    )
    async with calling(app, tokens[Role.CHANNEL]) as client:
        yield client


def asks(**fields: Any) -> dict[str, Any]:
    """A body; a field that is None is left out."""
    body = {
        "identifier": {"type": "loyalty_id", "value": "L 1/é"},
        "channel": "kiosk",
        "slot": "home",
        "context": {},
        **fields,
    }
    return {name: value for name, value in body.items() if value is not None}


async def test_a_channel_system_asks_and_is_answered(
    till: httpx.AsyncClient, admin: httpx.AsyncClient, profile_service: ProfileService
) -> None:
    answer = await till.post("/v1/decide", json=asks())
    assert answer.status_code == httpx.codes.OK, answer.text
    told = answer.json()
    assert sorted(told["action"]) == ["action_id", "channel", "content", "expires_at", "rule"]
    assert told["action"]["rule"] == "offer"
    assert (told["kept"], told["person"]) == (False, "known")
    assert profile_service.asked == [("loyalty_id", "L 1/é")]
    decision = (await admin.get(f"/v1/decisions/{told['decision_id']}")).raise_for_status().json()
    assert decision["action_ids"] == [told["action"]["action_id"]]
    assert decision["profile_version"] == 7
    action = (await admin.get(f"/v1/actions/{told['action']['action_id']}")).json()
    assert action["message"]["content"] == told["action"]["content"]
    app = (await till.post("/v1/decide", json=asks(channel="app"))).json()
    assert app["action"]["action_id"] == told["action"]["action_id"]
    assert (await till.get(f"/v1/decisions/{told['decision_id']}")).status_code == 403


async def test_without_the_profile_only_what_nothing_could_forbid_is_given(
    till: httpx.AsyncClient, profile_service: ProfileService
) -> None:
    profile_service.away = True
    answer = await till.post("/v1/decide", json=asks(slot="away"))
    assert answer.status_code == httpx.codes.OK, answer.text
    told = answer.json()
    assert told["person"] == "unavailable"
    assert told["reasons"][0].startswith("profile_unavailable: ")
    assert told["reasons"][-1].startswith("person_unavailable: offer needs ")
    assert told["action"]["rule"] == "receipt"
    assert told["action"]["content"] == {"text": " on kiosk"}


async def test_a_profile_is_named_by_its_id_as_an_identifier(till: httpx.AsyncClient) -> None:
    by_id = asks(identifier={"type": "profile_id", "value": uid("ada")}, slot="by-id")
    assert (await till.post("/v1/decide", json=by_id)).json()["person"] == "known"
    erased = asks(identifier={"type": "profile_id", "value": uid("erased")}, slot="by-id")
    answer = await till.post("/v1/decide", json=erased)
    assert answer.status_code == httpx.codes.GONE, answer.text
    assert "erased" in answer.json()["detail"]
    plain = asks(identifier=None) | {"profile_id": uid("ada")}
    assert (await till.post("/v1/decide", json=plain)).status_code == 422


@pytest.mark.parametrize(
    ("body", "path"),
    [
        (asks(identifier=None), "identifier"),
        (asks(identifier={"type": "email"}), "identifier.value"),
        (asks(identifier={"type": "", "value": "x"}), "identifier.type"),
        (asks(identifier={"type": "x" * 65, "value": "x"}), "identifier.type"),
        (asks(identifier={"type": "email", "value": "x" * 513}), "identifier.value"),
        (asks(identifier={"type": "email", "value": 7}), "identifier.value"),
        (asks(channel=None), "channel"),
        (asks(channel="Kiosk!"), "channel"),
        (asks(channel="tilll"), "channel"),
        (asks(slot=""), "slot"),
        (asks(slot="a b"), "slot"),
        (asks(slot="x" * 101), "slot"),
        (asks(context=[]), "context"),
        (asks(context={str(n): n for n in range(101)}), "context"),
        (asks(context={"a": "x" * 17_000}), "context"),
        (asks(contxt={}), "contxt"),
    ],
)
async def test_a_mistake_is_named_by_its_place(
    till: httpx.AsyncClient, profile_service: ProfileService, body: dict[str, Any], path: str
) -> None:
    answer = await till.post("/v1/decide", json=body)
    assert answer.status_code == httpx.codes.UNPROCESSABLE_ENTITY, answer.text
    assert [one["path"] for one in answer.json()["errors"]] == [path]
    assert profile_service.asked == []


async def test_slot_and_context_may_be_left_out(till: httpx.AsyncClient) -> None:
    answer = await till.post("/v1/decide", json=asks(slot=None, context=None))
    assert (answer.status_code, answer.json()["slot"]) == (httpx.codes.OK, "default")


async def test_what_no_json_may_hold_is_refused(till: httpx.AsyncClient) -> None:
    for content in (b"{", b'{"context":NaN}', msgspec.json.encode(asks(context={"a": "\0"}))):
        answer = await till.post("/v1/decide", content=content)
        assert answer.status_code == httpx.codes.BAD_REQUEST, content
