"""Traits over HTTP: declared, checked, published, shown with where they come from, and masked."""

from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine

from services.profile.api.app import create_app
from services.profile.domain.absorb import Rules
from services.profile.use_cases.load_rules import live_rules
from shared.access import Role
from shared.contracts.topics import Topics
from shared.observability.health import Health
from shared.runtime.live import Live
from tests.integration.profile.definer import Definer
from tests.integration.profile.worker import Worker
from tests.support.api import calling
from tests.unit.profile.world import order, touchpoint

EMAIL = ("email", "eve@example.com")
SPENT = {
    "name": "spent_30d",
    "computed": {
        "event": "Order Completed",
        "aggregate": "sum",
        "of": "event.total",
        "within": "P30D",
    },
}


@pytest.fixture(scope="module")
async def rules(engine: AsyncEngine) -> Live[Rules]:
    loaded = live_rules(engine)
    await loaded.refresh()
    return loaded


@pytest.fixture(scope="module")
def app(engine: AsyncEngine, worker: Worker, rules: Live[Rules]) -> FastAPI:
    return create_app(
        engine, health=Health("profile-api", {}), topics=Topics(), counts=worker.counts, rules=rules
    )


@pytest.fixture
async def definer(worker: Worker) -> Definer:
    made = Definer(worker)
    await made.settle()
    return made


async def published(client: httpx.AsyncClient, path: str, body: dict[str, Any]) -> httpx.Response:
    saved = await client.put(path, json=body)
    assert saved.status_code == 200, saved.text
    answer = await client.post(f"{path}:publish", headers={"if-match": saved.headers["etag"]})
    assert answer.status_code == 200, answer.text
    return answer


async def test_a_declared_trait_from_draft_to_provenance(
    admin: httpx.AsyncClient,
    viewer: httpx.AsyncClient,
    definer: Definer,
    worker: Worker,
    rules: Live[Rules],
) -> None:
    said = [(7, "shop"), (40, "till"), ("many", "app"), (3, "shop")]
    for n, (points, source) in enumerate(said):
        await worker.absorb(
            touchpoint(100 + n, EMAIL, source=source, traits={"points": points, "city": "Lyon"})
        )
    body = {"name": "points", "type": "integer", "pii": "sensitive", "policy": "highest"}
    assert (await admin.post("/v1/traits/points:validate", json=body)).json() == {"valid": True}
    answer = await published(admin, "/v1/traits/points", body)
    assert (answer.json()["status"], answer.json()["version"]) == ("live", 1)
    await published(admin, "/v1/traits/city", {"type": "string", "pii": "none"})
    await definer.settle()
    progress = (await admin.get("/v1/traits/points/backfill")).json()
    assert (progress["status"], progress["changed"]) == ("done", 1)
    await rules.refresh()

    where = "/v1/profiles/by/email/eve@example.com"
    eve = (await admin.get(where, params={"include": "provenance"})).json()
    assert eve["traits"] == {"points": 40, "city": "Lyon"}
    why = eve["provenance"]["points"]
    assert (why["value"], why["source"], why["rule"]) == (40, "till", "highest")
    assert [(one["value"], one.get("refused")) for one in why["runners_up"]] == [
        (7, None),
        ("many", "it is no whole number"),
    ]
    hidden = (await viewer.get(where, params={"include": "provenance"})).json()
    assert hidden["traits"] == {"points": "***", "city": "Lyon"}
    assert hidden["provenance"]["points"]["value"] == "***"
    assert [one["value"] for one in hidden["provenance"]["points"]["runners_up"]] == ["***"] * 2
    timeline = (await viewer.get(f"/v1/profiles/{eve['id']}/timeline")).json()
    assert {one["touchpoint"]["traits"]["points"] for one in timeline["items"]} == {"***"}
    audited = (await admin.get("/v1/audit", params={"kind": "trait", "key": "points"})).json()
    assert {one["action"] for one in audited["items"]} == {"save", "publish"}
    versions = (await admin.get("/v1/traits/points/versions")).json()["items"]
    assert [one["version"] for one in versions] == [1]


async def test_a_computed_trait_and_a_segment_on_it(
    admin: httpx.AsyncClient, definer: Definer, worker: Worker
) -> None:
    await published(admin, "/v1/traits/spent-30d", SPENT)
    await definer.settle()
    now = await worker.rows("SELECT clock.now()::text")
    at = now[0][0].replace(" ", "T")[:19] + ".000Z"
    for n, total in enumerate([59.9, "100.05"]):
        await worker.absorb({**order(200 + n, EMAIL, total=total), "occurred_at": at})
    eve = (await admin.get("/v1/profiles/by/email/eve@example.com")).json()
    assert eve["computed"]["spent_30d"] == "159.95"
    asked = {"attr": "profile.computed.spent_30d", "op": "gte", "value": 159.93}
    looked = (await admin.post("/v1/segments:preview", json={"condition": asked})).json()
    assert (looked["count"], looked["exact"]) == (1, True)
    await published(admin, "/v1/segments/spenders", {"condition": asked})
    await definer.settle()
    eve = (await admin.get("/v1/profiles/by/email/eve@example.com")).json()
    assert eve["segments"] == ["spenders"]
    refused = await admin.post("/v1/traits/spent-30d:archive")
    assert refused.status_code == 409
    wrong = await admin.post(
        "/v1/segments/spenders:validate", json={"condition": {**asked, "value": "much"}}
    )
    assert wrong.status_code == 422
    assert wrong.json()["errors"][0]["rule"] == "trait_type"
    typo = {**asked, "attr": "profile.computed.spend_30d"}
    wrong = await admin.post("/v1/segments:preview", json={"condition": typo})
    assert wrong.status_code == 422
    assert 'Did you mean "spent_30d"?' in wrong.json()["errors"][0]["message"]


async def test_the_catalogue_has_standard_and_defined_traits(admin: httpx.AsyncClient) -> None:
    found = (await admin.get("/v1/traits:catalogue")).json()["items"]
    by_attr = {one["attr"]: one for one in found}
    assert by_attr["profile.birthday"]["origin"] == "standard"
    assert by_attr["profile.computed.revenue"]["origin"] == "built_in"
    assert by_attr["profile.computed.spent_30d"] == {
        "attr": "profile.computed.spent_30d",
        "origin": "computed",
        "type": "decimal",
        "pii": None,
        "key": "spent-30d",
    }


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"type": "number"}, "type"),
        ({"type": "list", "policy": "lowest"}, "policy"),
        ({"computed": {"event": "A", "aggregate": "sum"}}, "computed.of"),
        ({"computed": {"event": "A", "aggregate": "summ", "of": "event.x"}}, "computed.aggregate"),
    ],
)
async def test_a_mistake_is_a_problem_that_names_it(
    admin: httpx.AsyncClient, body: dict[str, Any], path: str
) -> None:
    answer = await admin.put("/v1/traits/wrong", json=body)
    assert answer.status_code == 422
    assert [one["path"] for one in answer.json()["errors"]] == [path]


async def test_who_may_not_publish(app: FastAPI, tokens: dict[Role, str]) -> None:
    async with calling(app, tokens[Role.EDITOR]) as editor:
        assert (await editor.put("/v1/traits/mine", json={"type": "string"})).status_code == 200
        assert (await editor.post("/v1/traits/mine:publish")).status_code == 403
