"""`/v1/identity-rules`: drafted, checked, published, live on every worker, kept with evidence."""

import asyncio
import time
from typing import Any

import httpx
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine

from services.profile.use_cases.load_rules import live_rules
from shared.access import Role
from tests.integration.profile.worker import Worker
from tests.integration.profile_api.test_profiles import ok
from tests.support.api import calling
from tests.unit.profile.world import touchpoint

URL = "/v1/identity-rules/default"
STRICT: dict[str, Any] = {
    "types": {
        "loyalty_id": {"priority": 2, "veto": True},
        "member_no": {"limit": 2, "within": "P7D", "normaliser": "digits"},
        "home": {"role": "household"},
    },
    "blocked": [
        {"type": "email", "kind": "regex", "value": "^till[0-9]+@", "reason": "tills"},
        {"kind": "exact", "value": "ABC123"},
    ],
}


async def test_a_mistake_is_named_with_its_path(admin: httpx.AsyncClient) -> None:
    wrong = {
        "typs": {},
        "types": {
            "email": {"priority": 0, "rol": "person"},
            "profile_id": {},
            "home": {"role": "household", "veto": True},
        },
        "blocked": [{"kind": "regex", "value": "(?=x)"}, {"kind": "exact"}],
        "max_merges": -1,
    }
    answer = await admin.post(f"{URL}:validate", json=wrong)
    assert answer.status_code == 422
    problems = {one["path"]: one["rule"] for one in answer.json()["errors"]}
    assert problems == {
        "typs": "unknown_field",
        "types.email.priority": "number_range",
        "types.email.rol": "unknown_field",
        "types.profile_id": "type_name",
        "types.home.veto": "role",
        "blocked[0].value": "pattern",
        "blocked[1].value": "required",
        "max_merges": "number_range",
    }
    assert (await admin.put(URL, json=wrong)).status_code == 422
    assert (await admin.get("/v1/identity-rules/other")).status_code == 404


async def test_published_rules_are_live_within_two_seconds_and_kept_with_what_they_decide(
    admin: httpx.AsyncClient,
    app: FastAPI,
    tokens: dict[Role, str],
    engine: AsyncEngine,
    worker: Worker,
) -> None:
    assert (await ok(admin, "/v1/identity-rules:in-force"))["version"] == 0
    assert (await admin.get(URL)).status_code == 404
    assert (await admin.post(f"{URL}:publish")).status_code == 404
    stopping = asyncio.Event()
    live = live_rules(engine)
    following = asyncio.create_task(live.run(stopping))
    saved = await admin.put(URL, json=STRICT)
    assert (saved.status_code, saved.headers["etag"]) == (200, '"1"')
    assert (await admin.put(URL, json=STRICT, headers={"If-Match": '"9"'})).status_code == 412
    async with calling(app, tokens[Role.EDITOR]) as editor:
        assert (await editor.post(f"{URL}:publish")).status_code == 403
    published = await admin.post(f"{URL}:publish", headers={"If-Match": '"1"'})
    assert published.json()["version"] == 1
    began = time.monotonic()
    await live.refresh()
    while live().identity.version != 1:
        await asyncio.sleep(0.05)
        assert time.monotonic() - began < 2
    stopping.set()
    await following

    strict = Worker(engine, live())
    number = ("member_no", "A-77")
    await strict.absorb(
        touchpoint(500, ("loyalty_id", "r1"), ("email", "r@example.com"), message_id="r1"),
        touchpoint(501, ("loyalty_id", "r2"), ("email", "r@example.com"), message_id="r2"),
        touchpoint(502, ("email", "till7@shop.example"), ("user_id", "abc123"), message_id="r3"),
        touchpoint(503, number, ("home", "main street"), message_id="r4"),
    )
    ids = [(await ok(admin, f"/v1/profiles/by/loyalty_id/{one}"))["id"] for one in ("r1", "r2")]
    assert len(set(ids)) == 2
    event = await ok(admin, f"/v1/events/{touchpoint(0, message_id='r2')['id']}/identity")
    assert event["rules_version"] == 1
    assert event["identifiers"][1]["rule"] == "veto"
    assert "loyalty_id" in event["identifiers"][1]["because"]
    event = await ok(admin, f"/v1/events/{touchpoint(0, message_id='r3')['id']}/identity")
    assert [one["outcome"] for one in event["identifiers"]] == ["blocked", "blocked"]
    event = await ok(admin, f"/v1/events/{touchpoint(0, message_id='r4')['id']}/identity")
    assert [one["outcome"] for one in event["identifiers"]] == ["added", "link"]
    assert (await admin.get("/v1/profiles/by/member_no/77")).status_code == 200

    versions = (await ok(admin, f"{URL}/versions"))["items"]
    assert [one["version"] for one in versions] == [1]
    force = await ok(admin, "/v1/identity-rules:in-force")
    assert force["version"] == 1
    assert force["rules"]["types"]["user_id"]["veto"] is True
    audit = await ok(admin, "/v1/audit", kind="identity_rules", key="default")
    assert [one["action"] for one in audit["items"]] == ["publish", "save"]
