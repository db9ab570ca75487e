"""Whatever is shown of people in clear, and whatever is done with tasks, is in the audit log."""

from typing import Any
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine

from shared import ids
from shared.access import Role
from tests.integration.orchestrator_api.acting import add_action
from tests.integration.orchestrator_api.test_records import decision, keep
from tests.support.api import calling

PREVIEWED = "01930000-0000-7000-8000-000000000001"


async def audit(admin: httpx.AsyncClient, **params: Any) -> list[dict[str, Any]]:
    """Entries of the audit log, the oldest first."""
    items = (await admin.get("/v1/audit", params=params)).raise_for_status().json()["items"]
    return list(reversed(items))


async def revealed(admin: httpx.AsyncClient, key: object) -> list[list[str]]:
    """The fields of each reveal under a key."""
    found = await audit(admin, kind="reveal", key=str(key))
    return [one["after"]["fields"] for one in found]


async def test_actions_in_clear_are_on_record(
    admin: httpx.AsyncClient, app: FastAPI, tokens: dict[Role, str], engine: AsyncEngine
) -> None:
    profile = ids.random_id()
    first = await add_action(engine, profile)
    await add_action(engine, profile)
    urls = (f"/v1/actions/{first}", f"/v1/actions?profile_id={profile}")
    async with calling(app, tokens[Role.VIEWER]) as viewer:
        for url in urls:
            assert "Call Ada" not in (await viewer.get(url)).raise_for_status().text
    assert await revealed(admin, profile) == []
    async with calling(app, tokens[Role.OPS]) as ops:
        for url in urls:
            assert "Call Ada" in (await ops.get(url)).raise_for_status().text
    assert await revealed(admin, profile) == [["message"], ["message"]]
    (one, _) = await audit(admin, kind="reveal", key=str(profile))
    assert (one["action"], one["who_name"]) == ("reveal", "ops")
    async with calling(app, tokens[Role.SERVICE]) as service:
        (await service.get(urls[0])).raise_for_status()
    assert len(await revealed(admin, profile)) == 2


async def test_decisions_in_clear_are_on_record(
    admin: httpx.AsyncClient, app: FastAPI, tokens: dict[Role, str], engine: AsyncEngine
) -> None:
    profile = ids.random_id()
    one = decision(70, profile)
    await keep(engine, one, 70)
    urls = (f"/v1/decisions/{one.id}", f"/v1/decisions?profile_id={profile}")
    async with calling(app, tokens[Role.VIEWER]) as viewer:
        for url in urls:
            (await viewer.get(url)).raise_for_status()
    assert await revealed(admin, profile) == []
    for url in urls:
        (await admin.get(url)).raise_for_status()
    assert await revealed(admin, profile) == [["actions.message", "candidates"], ["candidates"]]


async def test_a_preview_in_clear_is_on_record(
    admin: httpx.AsyncClient, app: FastAPI, tokens: dict[Role, str]
) -> None:
    template = {"channel": "email", "content": {"en": {"body": "Hi {{ profile.first_name }}"}},
                "default_locale": "en"}  # fmt: skip
    (await admin.put("/v1/templates/shown", json=template)).raise_for_status()
    asked = {"profile_id": PREVIEWED}
    before = len(await revealed(admin, PREVIEWED))
    async with calling(app, tokens[Role.EDITOR]) as editor:
        (await editor.post("/v1/templates/shown:preview", json=asked)).raise_for_status()
    assert len(await revealed(admin, PREVIEWED)) == before
    (await admin.post("/v1/templates/shown:preview", json=asked)).raise_for_status()
    assert (await revealed(admin, PREVIEWED))[before:] == [["content"]]


async def test_a_list_of_tasks_is_one_entry(
    admin: httpx.AsyncClient, app: FastAPI, tokens: dict[Role, str], engine: AsyncEngine
) -> None:
    people = [ids.random_id() for _ in range(3)]
    made = [await add_action(engine, one, kind="task", queue="reveals") for one in people]
    url = "/v1/tasks?queue=reveals"
    async with calling(app, tokens[Role.VIEWER]) as viewer:
        (await viewer.get(url)).raise_for_status()
        (await viewer.get(f"/v1/tasks/{made[0]}")).raise_for_status()
    assert await revealed(admin, "tasks") == []
    async with calling(app, tokens[Role.CHANNEL]) as desk:
        (await desk.get(url)).raise_for_status()
        (await desk.get("/v1/tasks?queue=nothing")).raise_for_status()
        (await desk.get(f"/v1/tasks/{made[0]}")).raise_for_status()
    (one,) = await audit(admin, kind="reveal", key="tasks")
    assert sorted(map(UUID, one["after"]["profiles"])) == sorted(people)
    assert await revealed(admin, people[0]) == [["content", "note", "queue", "to"]]


async def test_what_is_done_with_a_task_is_on_record(
    admin: httpx.AsyncClient, app: FastAPI, tokens: dict[Role, str], engine: AsyncEngine
) -> None:
    profile = ids.random_id()
    task = await add_action(engine, profile, kind="task", queue="worked")
    url, eve = f"/v1/tasks/{task}", {"agent": "Eve"}
    async with calling(app, tokens[Role.CHANNEL]) as desk:
        (await desk.post(f"{url}:claim", json=eve)).raise_for_status()
        (await desk.post(f"{url}:release", json=eve)).raise_for_status()
        (await desk.post(f"{url}:release", json=eve)).raise_for_status()
        asked = {"channel": "email", "queue": "worked", "agent": "Eve"}
        assert (await desk.post("/v1/tasks:claim", json=asked)).status_code == 200
        assert (await desk.post("/v1/tasks:claim", json=asked)).status_code == 204
        assert (await desk.post(f"{url}:claim", json={"agent": "Bo"})).status_code == 409
        done = eve | {"outcome": "accepted", "note": "wants a blue one"}
        for _ in range(2):
            (await desk.post(f"{url}:complete", json=done)).raise_for_status()
    found = await audit(admin, kind="task", key=str(task))
    assert [one["action"] for one in found] == ["claim", "release", "claim", "complete"]
    assert {one["who_name"] for one in found} == {"channel"}
    assert {(one["after"]["by"], one["after"]["profile_id"]) for one in found} == {
        ("Eve", str(profile))
    }
    assert found[-1]["after"]["outcome"] == "accepted"
    assert "blue" not in str(found)


@pytest.mark.parametrize("type_", ["clicked", "bounced"])
async def test_what_is_said_of_an_action_is_on_record(
    admin: httpx.AsyncClient, app: FastAPI, tokens: dict[Role, str], engine: AsyncEngine, type_: str
) -> None:
    action = await add_action(engine, ids.random_id())
    async with calling(app, tokens[Role.CHANNEL]) as shop:
        body = {"type": type_, "reason": "mailbox of lovelace is full"}
        (await shop.post(f"/v1/deliveries/{action}/events", json=body)).raise_for_status()
        nobody = f"/v1/deliveries/{ids.random_id()}/events"
        assert (await shop.post(nobody, json=body)).status_code == 404
    (one,) = await audit(admin, kind="delivery_event", key=str(action))
    assert (one["action"], one["who_name"], one["after"]["channel"]) == (type_, "channel", "email")
    assert "lovelace" not in str(one)
