"""`POST /v1/deliveries/{action_id}/events`: an event on the channel, once."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.ids import touchpoint_id
from tests.integration.orchestrator_api.acting import add_action, published, run

ADA = UUID(int=501)
START = datetime(2026, 11, 21, 10, tzinfo=UTC)


async def test_an_event_is_published_on_the_channel_of_the_action(
    admin: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    action = await add_action(engine, ADA)
    body = {"type": "bounced", "reason": "no such mailbox", "at": "2026-11-21T10:00:00Z"}
    answer = await admin.post(f"/v1/deliveries/{action}/events", json=body)
    assert answer.status_code == 202
    said = answer.json()
    assert said["touchpoint_id"] == str(touchpoint_id("concert", said["id"]))
    (event,) = [one for one in await published(engine, "email") if one["id"] == said["id"]]
    assert event == {
        "id": said["id"],
        "source": "concert",
        "type": "email.bounced",
        "occurred_at": "2026-11-21T10:00:00.000Z",
        "identifiers": [{"type": "profile_id", "value": str(ADA)}],
        "properties": {"action_id": str(action), "rule": "welcome", "reason": "no such mailbox"},
    }


async def test_a_retry_is_the_same_event(admin: httpx.AsyncClient, engine: AsyncEngine) -> None:
    url = f"/v1/deliveries/{await add_action(engine, ADA)}/events"

    async def said(body: dict[str, Any], key: str | None = None) -> str:
        headers = {} if key is None else {"Idempotency-Key": key}
        answer = await admin.post(url, json=body, headers=headers)
        found: str = answer.raise_for_status().json()["id"]
        return found

    at = {"type": "opened", "at": "2026-11-21T10:00:00Z"}
    same = {"type": "opened", "at": "2026-11-21T11:00:00+01:00"}
    later = {"type": "opened", "at": "2026-11-21T10:00:01Z"}
    assert await said(at) == await said(at) == await said(same) != await said(later)
    assert await said({"type": "clicked"}) == await said({"type": "clicked"})
    assert await said(at, "k1") == await said(later, "k1") != await said(at, "k2")


async def test_a_response_may_come_on_another_channel(
    admin: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    action = await add_action(engine, ADA, channel="direct_mail")
    url = f"/v1/deliveries/{action}/events"
    answer = await admin.post(url, json={"type": "redeemed", "channel": "pos"})
    (event,) = [one for one in await published(engine, "pos") if one["id"] == answer.json()["id"]]
    assert event["type"] == "pos.redeemed"
    refused = await admin.post(url, json={"type": "redeemed", "channel": "moon"})
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["path"] == "channel"


@pytest.mark.parametrize(
    "body",
    [{}, {"type": "seen"}, {"type": "opened", "at": "yesterday"}, {"type": "opened", "x": 1}],
)
async def test_what_is_no_delivery_event_is_refused(
    admin: httpx.AsyncClient, engine: AsyncEngine, body: dict[str, Any]
) -> None:
    url = f"/v1/deliveries/{await add_action(engine, ADA)}/events"
    assert (await admin.post(url, json=body)).status_code == 422


async def test_nobody_and_who_was_erased(admin: httpx.AsyncClient, engine: AsyncEngine) -> None:
    url = f"/v1/deliveries/{UUID(int=77)}/events"
    assert (await admin.post(url, json={"type": "opened"})).status_code == 404
    await run(engine, "INSERT INTO erased_action VALUES (:id)", id=UUID(int=77))
    assert (await admin.post(url, json={"type": "opened"})).status_code == 410
    action = await add_action(engine, UUID(int=502))
    await run(engine, "UPDATE profile_state SET erased = true WHERE profile_id = :id",
              id=UUID(int=502))  # fmt: skip
    answer = await admin.post(f"/v1/deliveries/{action}/events", json={"type": "opened"})
    assert answer.status_code == 410


async def test_the_action_shows_what_was_said(
    admin: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    action = await add_action(engine, ADA)
    for number, outcome in enumerate(("delivered", "opened")):
        await run(
            engine,
            "INSERT INTO outcome VALUES (:p, :t, :a, :o, :at, 'email',"
            " 'service', NULL, NULL, 'welcome')",
            p=ADA, t=UUID(int=600 + number), a=action, o=outcome,
            at=START + timedelta(hours=number),
        )  # fmt: skip
    shown = (await admin.get(f"/v1/actions/{action}")).raise_for_status().json()
    assert [one["outcome"] for one in shown["outcomes"]] == ["opened", "delivered"]
    assert shown["outcomes"][0]["touchpoint_id"] == str(UUID(int=601))
    assert shown["kind"] == "send"
    assert shown["reached"] is None
