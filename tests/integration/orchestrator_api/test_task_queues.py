"""Who is shown a task's queue: a name that is rendered may say who the customer is."""

from typing import Any
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.access import Role
from tests.integration.orchestrator_api.acting import add_action
from tests.support.api import calling
from tests.unit.orchestrator.build import rule_json
from tests.unit.orchestrator.journeys.build import document, end

ADA = UUID(int=760)
EMAIL = "ada@example.com"
MASKED = (Role.VIEWER, Role.EDITOR, Role.PUBLISHER)
CLEAR = (Role.CHANNEL, Role.OPS, Role.PRIVACY, Role.ADMIN)


def call(queue: str) -> dict[str, Any]:
    return {"type": "task", "channel": "call_centre", "queue": queue, "content": {"body": "Call"}}


@pytest.fixture
async def queues(admin: httpx.AsyncClient) -> None:
    """Two rules and two journeys, one of each with a queue that is rendered."""
    for key, queue in (("written", "vip"), ("rendered", "{{ profile.email }}")):
        rule = rule_json(actions=[call("vip"), call(queue)])
        node = {"id": "call", **call(queue), "next": "end"}
        for url, body in (
            (f"/v1/rules/{key}", rule),
            (f"/v1/journeys/{key}", document(node, end())),
        ):
            (await admin.put(url, json=body)).raise_for_status()
            answer = await admin.post(f"{url}:publish", json={})
            assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("rule", ["rendered", "rendered/call", "nowhere"])
async def test_a_rendered_queue_is_for_who_sees_the_customer(
    app: FastAPI, tokens: dict[Role, str], engine: AsyncEngine, queues: None, rule: str
) -> None:
    task = await add_action(engine, ADA, channel="call_centre", kind="task", queue=EMAIL, rule=rule)
    for role in (*MASKED, *CLEAR):
        async with calling(app, tokens[role]) as client:
            one = (await client.get(f"/v1/tasks/{task}")).raise_for_status()
            listed = (await client.get("/v1/tasks", params={"profile_id": str(ADA)})).json()
            found = (await client.get("/v1/tasks", params={"queue": EMAIL})).json()
        shown = EMAIL if role in CLEAR else "***"
        assert one.json()["queue"] == shown
        assert {item["queue"] for item in listed["items"]} == {shown}
        assert (str(task) in {item["id"] for item in found["items"]}) is (role in CLEAR)
        assert found["next_cursor"] is None


@pytest.mark.parametrize("rule", ["written", "written/call"])
async def test_a_queue_that_is_written_is_for_everybody(
    app: FastAPI, tokens: dict[Role, str], engine: AsyncEngine, queues: None, rule: str
) -> None:
    task = await add_action(
        engine, UUID(int=761), channel="call_centre", kind="task", queue="vip", rule=rule
    )
    async with calling(app, tokens[Role.VIEWER]) as viewer:
        assert (await viewer.get(f"/v1/tasks/{task}")).json()["queue"] == "vip"
        found = (await viewer.get("/v1/tasks", params={"queue": "vip"})).json()["items"]
    assert (str(task), "vip") in {(one["id"], one["queue"]) for one in found}
