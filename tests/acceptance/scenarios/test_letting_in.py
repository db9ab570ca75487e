"""Journeys that people are let into over HTTP, on the running services."""

from datetime import timedelta
from typing import Any

import httpx

from tests.acceptance.scenarios.company import Company, Person, message
from tests.support.eventually import eventually

DAY = timedelta(days=1)
WELCOME: dict[str, Any] = {
    "category": "service",
    "entry": {"type": "api"},
    "nodes": [
        {"id": "hi", **message("email"), "next": "rest"},
        {"id": "rest", "type": "wait", "duration": "P2D", "next": "bye"},
        {"id": "bye", **message("push"), "next": "end"},
        {"id": "end", "type": "exit"},
    ],
}


async def runs(company: Company, key: str, **query: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await company.get(f"/v1/journeys/{key}/runs", **query))["items"]
    return found


async def until_runs(company: Company, key: str, count: int, **query: Any) -> list[dict[str, Any]]:
    return await eventually(
        lambda: runs(company, key, **query),
        until=lambda found: len(found) == count,
        within=30,
        what=f"{count} runs of {key} like {query}",
    )


async def enters(company: Company, key: str, who: Person) -> None:
    body = {"profile_id": who.profile_id, "event": {"plan": "gold"}}
    answer = await company.call("POST", f"/v1/journeys/{key}:enter", body)
    assert answer.status_code == httpx.codes.ACCEPTED, answer.text
    await company.settled()


async def test_one_person_is_let_in_walks_and_is_held_by_a_pause(company: Company) -> None:
    ada = await company.person("ada-in")
    await company.publish("journeys", "welcome-in", WELCOME)
    await enters(company, "welcome-in", ada)
    [run] = await until_runs(company, "welcome-in", 1, node="rest")
    await company.until_told(ada, "email", "send")
    await company.call("POST", "/v1/journeys/welcome-in:pause")
    await company.concert.until_live()
    await company.advance(3 * DAY)
    await eventually(
        lambda: company.get(f"/v1/runs/{run['id']}"),
        until=lambda found: "held" in [line["kind"] for line in found["log"]],
        within=30,
        what="the end of the wait is noted",
    )
    assert await company.messages(ada, "push") == []
    resumed = await company.call("POST", "/v1/journeys/welcome-in:resume")
    assert resumed.status_code == httpx.codes.OK, resumed.text
    [over] = await until_runs(company, "welcome-in", 1, status="completed")
    assert over["id"] == run["id"]
    await company.until_told(ada, "push", "send")
    stats = await company.get("/v1/journeys/welcome-in/stats")
    assert (stats["entered"], stats["under_way"], stats["ended"]) == (1, 0, {"completed": 1})


async def test_an_audience_is_let_in_little_by_little(company: Company) -> None:
    people = [await company.person(f"crowd{n}", traits={"city": "Metz"}) for n in range(3)]
    await company.person("elsewhere", traits={"city": "Nice"})
    entry = {"type": "api", "rate": {"limit": 1, "per": "PT1H"}}
    await company.publish("journeys", "crowd", WELCOME | {"entry": entry})
    body = {"audience": {"attr": "profile.city", "op": "eq", "value": "Metz"}}
    answer = await company.call("POST", "/v1/journeys/crowd:enter-audience", body)
    assert answer.status_code == httpx.codes.ACCEPTED, answer.text
    await until_runs(company, "crowd", 3)
    [let_in] = (await company.get("/v1/journeys/crowd/audiences"))["items"]
    assert let_in["touchpoint_id"] == answer.json()["touchpoint_id"]
    assert let_in["progress"]["matched"] == 3
    begun = [len(await until_runs(company, "crowd", 1, node="rest"))]
    for count in (2, 3):
        await company.advance(timedelta(hours=1))
        begun.append(len(await until_runs(company, "crowd", count, node="rest")))
    assert begun == [1, 2, 3]
    for who in people:
        await company.until_told(who, "email", "send")


async def test_what_a_journey_counts_is_counted_before_anybody_enters(company: Company) -> None:
    ada, bob = await company.person("ada-leaf"), await company.person("bob-leaf")
    await company.did(ada, "Visited 77", "pos", by=["loyalty_id"])
    been = {
        "id": "been", "type": "branch", "else": "end",
        "cases": [{"when": {"event": "Visited 77"}, "next": "hi"}],
    }  # fmt: skip
    await company.publish("journeys", "leaf", WELCOME | {"nodes": [been, *WELCOME["nodes"]]})
    await eventually(
        lambda: company.get("/v1/journeys/leaf"),
        until=lambda found: not found["warming"],
        within=60,
        what="it is counted",
    )
    await company.concert.until_live()
    for who in (ada, bob):
        await enters(company, "leaf", who)
    await until_runs(company, "leaf", 1, profile_id=ada.profile_id, node="rest")
    [gone] = await until_runs(company, "leaf", 1, profile_id=bob.profile_id)
    assert (gone["status"], gone["reason"]) == ("completed", "completed")
    assert await company.messages(bob, "email") == []
