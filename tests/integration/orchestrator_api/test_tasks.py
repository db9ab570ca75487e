"""Tasks over HTTP: listed, claimed by one, given back, completed once, withdrawn under somebody."""

import asyncio
from typing import Any
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.access import Role
from tests.integration.orchestrator_api.acting import HOUR, add_action, published, run
from tests.support.api import calling, crafted_cursors

ADA, BO = UUID(int=701), UUID(int=702)


async def add(engine: AsyncEngine, queue: str, priority: float = 0.0, **more: Any) -> UUID:
    given: dict[str, Any] = {"channel": "call_centre", "kind": "task", **more}
    return await add_action(engine, given.pop("who", ADA), queue=queue, priority=priority, **given)


async def post(client: httpx.AsyncClient, task: UUID, verb: str, **body: Any) -> httpx.Response:
    return await client.post(f"/v1/tasks/{task}:{verb}", json=body)


async def test_the_best_come_first_in_pages(admin: httpx.AsyncClient, engine: AsyncEngine) -> None:
    tasks = [await add(engine, "pages", priority) for priority in (1.5, 9, 1.5, 4)]
    found: list[str] = []
    cursor = None
    while True:
        params = {"queue": "pages", "limit": "2"} | ({} if cursor is None else {"cursor": cursor})
        page = (await admin.get("/v1/tasks", params=params)).raise_for_status().json()
        found += [one["id"] for one in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert found == [str(tasks[place]) for place in (1, 3, 0, 2)]
    for crafted in crafted_cursors():
        assert (await admin.get("/v1/tasks", params={"cursor": crafted})).status_code == 400


async def test_lists_are_by_person_channel_queue_and_status(
    admin: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    task = await add(engine, "lists", who=BO, merged_into=None)
    late = await add(engine, "lists", expires_in=-HOUR)

    async def ids(**params: str) -> set[str]:
        answer = (await admin.get("/v1/tasks", params=params)).raise_for_status()
        return {one["id"] for one in answer.json()["items"]}

    assert await ids(profile_id=str(BO)) == {str(task)}
    assert await ids(queue="lists", status="open") == {str(task)}
    assert await ids(queue="lists", status="expired") == {str(late)}
    assert await ids(queue="lists", channel="pos") == set()
    await post(admin, task, "claim")
    assert await ids(queue="lists", status="claimed") == {str(task)}


async def test_of_two_at_once_one_has_it(admin: httpx.AsyncClient, engine: AsyncEngine) -> None:
    task = await add(engine, "race")
    agents = [f"agent {number}" for number in range(8)]
    answers = await asyncio.gather(*(post(admin, task, "claim", agent=one) for one in agents))
    codes = sorted(answer.status_code for answer in answers)
    assert codes == [200] + [409] * 7
    winner = next(one.json()["claimed_by"] for one in answers if one.status_code == 200)
    assert winner in agents
    assert winner in next(one.text for one in answers if one.status_code == 409)


async def test_the_next_of_a_queue_goes_to_one_each(
    admin: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    tasks = {str(await add(engine, "next", number)) for number in range(5)}
    asked = [
        admin.post("/v1/tasks:claim", json={"channel": "call_centre", "queue": "next",
                                            "agent": f"agent {number}"})
        for number in range(6)
    ]  # fmt: skip
    answers = await asyncio.gather(*asked)
    assert sorted(one.status_code for one in answers) == [200] * 5 + [204]
    assert {one.json()["id"] for one in answers if one.status_code == 200} == tasks


async def test_a_lease_is_extended_by_its_holder_and_ends(
    admin: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    task = await add(engine, "leases")
    first = (await post(admin, task, "claim", lease="PT1M")).raise_for_status().json()
    longer = (await post(admin, task, "claim", lease="PT30M")).raise_for_status().json()
    assert longer["lease_until"] > first["lease_until"]
    await run(engine, "UPDATE task SET lease_until = clock.now() WHERE action_id = :id", id=task)
    shown = (await admin.get(f"/v1/tasks/{task}")).json()
    assert shown["status"] == "open"
    assert (await post(admin, task, "claim", agent="bo")).status_code == 200
    for lease in ("PT0S", "PT25H", "soon"):
        assert (await post(admin, task, "claim", lease=lease)).status_code == 422


async def test_what_is_given_back_is_free(admin: httpx.AsyncClient, engine: AsyncEngine) -> None:
    task = await add(engine, "back")
    assert (await post(admin, task, "claim", agent="ada")).status_code == 200
    assert (await post(admin, task, "release", agent="bo")).status_code == 409
    for _ in range(2):
        back = (await post(admin, task, "release", agent="ada")).raise_for_status().json()
        assert (back["status"], back["claimed_by"]) == ("open", None)


async def test_a_completed_task_says_so_on_its_channel_once(
    admin: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    task = await add(engine, "done")
    await post(admin, task, "claim", agent="ada")
    assert (await post(admin, task, "complete", outcome="sold")).status_code == 422
    assert (await post(admin, task, "complete", outcome="accepted", agent="bo")).status_code == 409
    for _ in range(2):
        done = await post(admin, task, "complete", outcome="accepted", agent="ada", note="on 3rd")
        assert done.raise_for_status().json()["status"] == "completed"
    again = await post(admin, task, "complete", outcome="declined", agent="ada")
    assert again.status_code == 409
    events = [
        one for one in await published(engine, "call_centre")
        if one["properties"]["action_id"] == str(task)
    ]  # fmt: skip
    (event,) = events
    assert event["type"] == "call_centre.accepted"
    assert event["properties"] == {"action_id": str(task), "by": "ada", "note": "on 3rd"}


async def test_who_was_at_a_withdrawn_task_is_told_and_heard(
    admin: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    task = await add(engine, "gone")
    await post(admin, task, "claim", agent="ada")
    await run(
        engine,
        "UPDATE task SET status = 'withdrawn', reason = 'exit: Order Completed on pos'"
        " WHERE action_id = :id",
        id=task,
    )
    for verb in ("claim", "release"):
        assert (await post(admin, task, verb, agent="ada")).status_code == 409
    for _ in range(2):
        told = await post(admin, task, "complete", outcome="declined", agent="ada")
        assert told.status_code == 409
        assert "exit: Order Completed on pos" in told.json()["detail"]
    shown = (await admin.get(f"/v1/tasks/{task}")).json()
    assert (shown["status"], shown["outcome"]) == ("withdrawn", "declined")
    events = [one["type"] for one in await published(engine, "call_centre")
              if one["properties"]["action_id"] == str(task)]  # fmt: skip
    assert events == ["call_centre.declined"]


async def test_what_a_task_says_is_for_who_serves(
    app: FastAPI, tokens: dict[Role, str], engine: AsyncEngine
) -> None:
    task = await add(engine, "seen")
    url = f"/v1/tasks/{task}"
    async with calling(app, tokens[Role.VIEWER]) as viewer:
        shown = (await viewer.get(url)).raise_for_status().json()
        assert (shown["content"], shown["to"]) == (None, None)
        assert (await viewer.post(f"{url}:claim")).status_code == 403
    async with calling(app, tokens[Role.CHANNEL]) as till:
        shown = (await till.post(f"{url}:claim")).raise_for_status().json()
    assert shown["content"] == {"body": "Call Ada"}
    assert shown["claimed_by"] == "channel"


@pytest.mark.parametrize("verb", ["claim", "release", "complete"])
async def test_no_task_and_one_of_somebody_erased(
    admin: httpx.AsyncClient, engine: AsyncEngine, verb: str
) -> None:
    body = {"outcome": "accepted"} if verb == "complete" else {}
    assert (await post(admin, UUID(int=88), verb, **body)).status_code == 404
    await run(engine, "INSERT INTO erased_action VALUES (:id) ON CONFLICT DO NOTHING",
              id=UUID(int=89))  # fmt: skip
    assert (await post(admin, UUID(int=89), verb, **body)).status_code == 410
