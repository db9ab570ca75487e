"""Segments, personas and event leaves over HTTP, from the draft to who is in."""

from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from shared.access import Role
from tests.integration.profile.definer import Definer
from tests.integration.profile.worker import Worker
from tests.support.api import calling

ORDERED = {"event": "Order Completed", "count": {"gte": 2}}
CONDITION = {"name": "Ordered twice", "condition": ORDERED}


@pytest.fixture
async def definer(worker: Worker) -> Definer:
    """On a database whose first look at everybody is done."""
    made = Definer(worker)
    await made.settle()
    return made


async def published(client: httpx.AsyncClient, path: str, body: dict[str, Any]) -> httpx.Response:
    saved = await client.put(path, json=body)
    assert saved.status_code == 200, saved.text
    answer = await client.post(f"{path}:publish", headers={"if-match": saved.headers["etag"]})
    assert answer.status_code == 200, answer.text
    return answer


async def test_a_segment_from_draft_to_members(
    admin: httpx.AsyncClient, viewer: httpx.AsyncClient, definer: Definer
) -> None:
    looked = (await admin.post("/v1/segments:preview", json={"condition": ORDERED})).json()
    assert (looked["count"], looked["exact"]) == (1, True)
    assert looked["sample"][0]["traits"]["first_name"] == "Ada B."
    hidden = (await viewer.post("/v1/segments:preview", json={"condition": ORDERED})).json()
    assert "Ada" not in str(hidden["sample"])

    answer = await published(admin, "/v1/segments/twice", CONDITION)
    assert (answer.json()["status"], answer.json()["version"]) == ("live", 1)
    progress = (await admin.get("/v1/segments/twice/backfill")).json()
    assert progress["status"] == "waiting"
    await definer.settle()
    progress = (await admin.get("/v1/segments/twice/backfill")).json()
    assert (progress["status"], progress["changed"]) == ("done", 1)
    assert (await admin.get("/v1/segments/twice/members")).json() == {"count": 1}
    ada = (await admin.get("/v1/profiles/by/email/ada@example.com")).json()
    assert ada["segments"] == ["twice"]
    assert (await admin.get("/v1/segments/twice/versions")).json()["items"][0]["version"] == 1
    again = (await admin.post("/v1/segments:preview", json={"condition": ORDERED})).json()
    assert (again["count"], again["exact"]) == (1, True)
    audited = (await admin.get("/v1/audit", params={"kind": "segment", "key": "twice"})).json()
    assert {one["action"] for one in audited["items"]} == {"save", "publish"}


async def test_a_persona_and_how_they_are_spread(
    admin: httpx.AsyncClient, definer: Definer
) -> None:
    buyer = {"name": "Buyer", "order": 1, "condition": {"event": "Order Completed"}}
    await published(admin, "/v1/personas/buyer", buyer)
    await definer.settle()
    ada = (await admin.get("/v1/profiles/by/email/ada@example.com")).json()
    assert ada["persona"]["key"] == "buyer"
    assert "Order Completed" in ada["persona"]["reason"]
    spread = (await admin.get("/v1/personas:distribution")).json()
    assert spread == {
        "items": [{"persona": None, "count": 2}, {"persona": "buyer", "count": 1}],
        "total": 3,
    }


async def test_leaves_are_registered_by_services_and_warm_up(
    app: FastAPI, tokens: dict[Role, str], definer: Definer, worker: Worker
) -> None:
    body = {"leaves": [{"event": "Product Viewed", "within": "P30D"}, {"event": "Order Completed"}]}
    async with calling(app, tokens[Role.SERVICE]) as service:
        first = (await service.post("/v1/leaves", json=body)).json()
        assert [one["state"] for one in first] == ["warming", "warming"]
        await definer.settle()
        again = (await service.post("/v1/leaves", json=body)).json()
        assert [one["state"] for one in again] == ["ready", "ready"]
        assert [one["hash"] for one in again] == [one["hash"] for one in first]
        wrong = await service.post("/v1/leaves", json={"leaves": [{"segment": "x"}]})
        assert wrong.status_code == 422


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"condition": {"attr": "event.x", "op": "eq", "value": 1}}, "condition"),
        ({"condition": {"attr": "profile.x", "op": "is", "value": 1}}, "condition.op"),
        ({"condition": ORDERED, "nam": "x"}, "nam"),
    ],
)
async def test_a_mistake_is_a_problem_that_names_it(
    admin: httpx.AsyncClient, body: dict[str, Any], path: str
) -> None:
    answer = await admin.put("/v1/segments/wrong", json=body)
    assert answer.status_code == 422
    assert [one["path"] for one in answer.json()["errors"]] == [path]


async def test_a_lost_race_is_refused(admin: httpx.AsyncClient) -> None:
    saved = await admin.put("/v1/segments/race", json=CONDITION)
    await admin.put(
        "/v1/segments/race", json=CONDITION, headers={"if-match": saved.headers["etag"]}
    )
    lost = await admin.put(
        "/v1/segments/race", json=CONDITION, headers={"if-match": saved.headers["etag"]}
    )
    assert lost.status_code == 412


@pytest.mark.parametrize("kind", ["segments", "personas"])
async def test_archiving_takes_if_match(admin: httpx.AsyncClient, kind: str) -> None:
    body = {**CONDITION, "order": 9} if kind == "personas" else CONDITION
    path = f"/v1/{kind}/gone"
    first = await published(admin, path, body)
    second = await admin.put(path, json={**body, "name": "Gone"})
    lost = await admin.post(f"{path}:archive", headers={"if-match": first.headers["etag"]})
    assert lost.status_code == 412
    assert (await admin.get(path)).json()["status"] == "live"
    answer = await admin.post(f"{path}:archive", headers={"if-match": second.headers["etag"]})
    assert (answer.status_code, answer.json()["status"]) == (200, "archived")
    assert answer.headers["etag"] == (await admin.get(path)).headers["etag"]
    assert (await admin.post(f"{path}:archive")).status_code == 200


async def test_a_preview_names_only_what_is_in_force(admin: httpx.AsyncClient) -> None:
    for kind in ("segment", "persona"):
        body = {"condition": {"not": {kind: "nobody"}}}
        answer = await admin.post("/v1/segments:preview", json=body)
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["rule"] == f"unknown_{kind}"
