"""`POST /v1/decide` over HTTP: its body, its limits, and the profile service behind it."""

import asyncio
import time
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
from services.orchestrator.domain.address_guard import AddressPolicy
from services.orchestrator.use_cases.next_best_action import NextBestAction
from shared.access import Role
from shared.contracts.topics import Topics
from shared.errors import Infrastructure
from shared.observability.health import Health
from tests.integration.orchestrator.asking import asked_rule
from tests.integration.orchestrator.stage import COUNTS
from tests.integration.orchestrator_api.conftest import DEFINITIONS
from tests.support.api import calling
from tests.unit.orchestrator.build import profile_json, ruleset, uid

RULES = ruleset(asked_rule("offer", "kiosk", "app"))


class ProfileService:
    """Knows Ada by her card; may be told what to do instead of answering."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.instead: httpx.Response | httpx.HTTPError | None = None

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url.raw_path.decode())
        if isinstance(self.instead, httpx.HTTPError):
            raise self.instead
        if self.instead is not None:
            return self.instead
        if request.url.path != "/v1/snapshots/loyalty_id/L 1/é":
            return httpx.Response(404)
        told = {"cause": {"kind": "read"}, "profile_id": uid("ada"), "seq": 7}
        return httpx.Response(200, json=told | {"profile": profile_json(uid("ada"))})


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
        profiles=ProfileClient(
            httpx.AsyncClient(
                transport=httpx.MockTransport(profile_service), base_url="http://profile"
            )
        ),
        asking=Asking(
            NextBestAction(engine, ruleset=lambda: RULES, topics=Topics(), counts=COUNTS),
            lambda: RULES,
            b"key",
        ),
        definitions=DEFINITIONS,
        sending=Sending(Topics(), COUNTS, Outgoing(AddressPolicy())),
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
    assert profile_service.asked == ["/v1/snapshots/loyalty_id/L%201%2F%C3%A9"]
    decision = (await admin.get(f"/v1/decisions/{told['decision_id']}")).raise_for_status().json()
    assert decision["action_ids"] == [told["action"]["action_id"]]
    assert decision["profile_version"] == 7
    action = (await admin.get(f"/v1/actions/{told['action']['action_id']}")).json()
    assert action["message"]["content"] == told["action"]["content"]
    app = (await till.post("/v1/decide", json=asks(channel="app"))).json()
    assert app["action"]["action_id"] == told["action"]["action_id"]
    assert (await till.get(f"/v1/decisions/{told['decision_id']}")).status_code == 403


@pytest.mark.parametrize(
    "instead",
    [
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("slow"),
        httpx.Response(503),
        httpx.Response(401),
        httpx.Response(200, content=b"{}"),
        httpx.Response(200, content=b"no json"),
    ],
    ids=repr,
)
async def test_without_the_profile_it_is_the_answer_for_somebody_unknown(
    till: httpx.AsyncClient,
    profile_service: ProfileService,
    instead: httpx.Response | httpx.HTTPError,
) -> None:
    profile_service.instead = instead
    answer = await till.post("/v1/decide", json=asks(slot="away"))
    assert answer.status_code == httpx.codes.OK, answer.text
    told = answer.json()
    assert told["person"] == "unavailable"
    assert told["reasons"][0].startswith("profile_unavailable: ")
    assert told["action"]["content"] == {"text": " on kiosk"}


async def test_a_profile_that_does_not_come_is_not_waited_for() -> None:
    async def slow(request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(60)
        raise AssertionError(request)

    http = httpx.AsyncClient(transport=httpx.MockTransport(slow), base_url="http://profile")
    begun = time.monotonic()
    with pytest.raises(Infrastructure, match="TimeoutError"):
        await ProfileClient(http).person("email", "ada@b.c")
    assert time.monotonic() - begun < 30


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
