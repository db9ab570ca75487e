"""`/v1/privacy-requests`: access, rectification and erasure as a privacy officer asks for them."""

import json
from typing import Any
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.profile.domain.absorb import Rules
from services.profile.use_cases.verify_identity import verify_identity
from shared.access import Role
from shared.postgres.transaction import transaction
from tests.integration.profile.definer import Definer
from tests.integration.profile.eraser import Eraser
from tests.integration.profile.worker import Worker
from tests.integration.profile_api.conftest import BROWSER, CARD
from tests.support.api import calling
from tests.unit.profile.world import order, touchpoint

PATH = "/v1/privacy-requests"
LATER = "2099-01-01T00:00:00.000Z"


@pytest.fixture
def eraser(engine: AsyncEngine, worker: Worker) -> Eraser:
    return Eraser(engine, worker)


async def person(client: httpx.AsyncClient, number: int, worker: Worker) -> str:
    """Somebody new with two traits from two sources; the id of the profile."""
    mail = ("email", f"p{number}@x.org")
    await worker.absorb(
        touchpoint(number, mail, traits={"first_name": "Wrong", "city": "Lyon"}),
        touchpoint(
            number + 1,
            mail,
            ("loyalty_id", f"c{number}"),
            traits={"first_name": "Wrong too"},
            source="crm",
        ),
        order(number + 2, mail, total="3.00", currency="EUR"),
    )
    return str((await ok(client, f"/v1/profiles/by/email/{mail[1]}"))["id"])


async def ok(client: httpx.AsyncClient, url: str) -> Any:
    answer = await client.get(url)
    assert answer.status_code == httpx.codes.OK, answer.text
    return answer.json()


async def ask(client: httpx.AsyncClient, **body: Any) -> Any:
    answer = await client.post(PATH, json=body)
    assert answer.status_code == httpx.codes.ACCEPTED, answer.text
    return answer.json()


async def test_a_correction_is_a_fact_of_the_highest_authority(
    admin: httpx.AsyncClient, worker: Worker, engine: AsyncEngine
) -> None:
    id_ = await person(admin, 1000, worker)
    before = await ok(admin, f"/v1/profiles/{id_}")
    done = await ask(
        admin,
        kind="rectification",
        profile_id=id_,
        traits={"first_name": "Right", "city": None},
        reason="as she wrote",
    )
    assert (done["status"], done["receipt"]["traits"]) == ("completed", ["city", "first_name"])
    now = await ok(admin, f"/v1/profiles/{id_}?include=provenance")
    assert now["traits"] == {"first_name": "Right"}
    assert now["computed"] == before["computed"]
    told = now["provenance"]["first_name"]
    assert (told["source"], told["runners_up"]) == ("rectification", [])
    mail = ("email", "p1000@x.org")
    await worker.absorb(touchpoint(1010, mail, traits={"first_name": "Wrong"}))
    later = {"occurred_at": LATER, "received_at": LATER}
    await worker.absorb(touchpoint(1011, mail, traits={"first_name": "Newer", "zip": "1"}, **later))
    spoof = touchpoint(1012, mail, traits={"first_name": "Mine"}, source="rectification", **later)
    await worker.absorb(spoof)
    now = await ok(admin, f"/v1/profiles/{id_}?include=provenance")
    assert now["traits"] == {"first_name": "Right", "zip": "1"}
    runners = [one["value"] for one in now["provenance"]["first_name"]["runners_up"]]
    assert runners == ["Newer"]
    updates = [one for one in await worker.updates() if one["profile_id"] == id_]
    causes = [one["cause"] for one in updates if one["cause"].get("kind") == "trait_changed"]
    assert [cause["traits"] for cause in causes] == [["city", "first_name"]]
    assert (await verify_identity(engine, Rules())).differences == []


async def test_an_identifier_that_is_somebody_elses_is_taken_away(
    admin: httpx.AsyncClient, worker: Worker, engine: AsyncEngine
) -> None:
    id_ = await person(admin, 1100, worker)
    wrong = {"type": "loyalty_id", "value": "c1100"}
    done = await ask(
        admin, kind="rectification", profile_id=id_, remove_identifiers=[wrong], reason="not hers"
    )
    assert done["receipt"]["identifiers_removed"] == 1
    held = (await ok(admin, f"/v1/profiles/{id_}"))["identifiers"]
    assert [one["type"] for one in held] == ["email"]
    await worker.absorb(touchpoint(1110, ("email", "p1100@x.org"), ("loyalty_id", "c1100")))
    held = (await ok(admin, f"/v1/profiles/{id_}"))["identifiers"]
    assert [one["type"] for one in held] == ["email"]
    assert (await verify_identity(engine, Rules())).differences == []


async def test_access_hands_out_everything_once_and_for_a_while(
    admin: httpx.AsyncClient, worker: Worker, eraser: Eraser, engine: AsyncEngine
) -> None:
    id_ = await person(admin, 1200, worker)
    mail = ("email", "p1200@x.org")
    definer = Definer(worker)
    await definer.trait("seen_total", computed={"aggregate": "count", "event": "page_viewed"})
    await definer.settle()
    said = {"group_id": "p1200-acme", "group_traits": {"plan": "gold"}}
    await worker.absorb(
        *(touchpoint(2000 + n, mail) for n in range(449)),
        touchpoint(2449, mail, type="group", kind="group", properties=said),
    )
    made = await ask(admin, kind="access", profile_id=id_)
    assert made["status"] == "pending"
    assert (await admin.get(f"{PATH}/{made['id']}/document")).status_code == 409
    await eraser.run(afresh=True)
    done = await ok(admin, f"{PATH}/{made['id']}")
    assert done["status"] == "completed"
    found = await ok(admin, done["download"])
    assert [one["value"] for one in found["identifiers"]] == ["p1200@x.org", "c1200"]
    assert found["traits"]["first_name"]["runners_up"]
    assert found["groups"][0]["traits"] == {"plan": "gold"}
    assert found["profile"]["computed"]["seen_total"] is not None
    ids = [one["id"] for one in found["touchpoints"]]
    assert len(ids) == len(set(ids)) == 453
    assert found["decisions"] == [{"id": "d1"}, {"id": "d2"}]
    assert found["failed_events"] == [{"raw": "broken"}]
    entries = (await ok(admin, f"/v1/audit?kind=privacy_request&key={made['id']}"))["items"]
    assert [one["action"] for one in entries] == ["download", "complete", "request"]
    assert "x.org" not in json.dumps(entries)
    async with transaction(engine) as tx:
        await tx.execute(text("UPDATE privacy_request SET expires_at = clock_timestamp()"))
    assert (await admin.get(done["download"])).status_code == httpx.codes.GONE


async def test_erasure_from_request_to_receipt(
    admin: httpx.AsyncClient, worker: Worker, eraser: Eraser
) -> None:
    id_ = await person(admin, 1300, worker)
    document = await ask(admin, kind="access", profile_id=id_)
    await eraser.run()
    made = await ask(admin, kind="erasure", profile_id=id_)
    again = await ask(admin, kind="erasure", profile_id=id_, suppress=True)
    assert (again["id"], again["suppress"]) == (made["id"], True)
    await eraser.run()
    done = await ok(admin, f"{PATH}/{made['id']}")
    assert (done["status"], done["progress"]["phase"]) == ("completed", "done")
    assert done["receipt"]["stores"]["touchpoint"] == 3
    assert "x.org" not in json.dumps(done)
    for url in (f"/v1/profiles/{id_}", f"{PATH}/{document['id']}/document"):
        assert (await admin.get(url)).status_code == httpx.codes.GONE
    assert (await admin.get("/v1/profiles/by/email/p1300@x.org")).status_code == 404
    answer = await admin.post(PATH, json={"kind": "erasure", "profile_id": id_})
    assert answer.status_code == httpx.codes.GONE
    merge = await admin.post("/v1/profiles:merge", json={"profiles": [id_, str(UUID(int=1))]})
    assert merge.status_code == httpx.codes.GONE
    consent = {"purpose": "marketing", "channel": "email", "status": "denied"}
    put = await admin.put(f"/v1/profiles/{id_}/consents", json={"consents": [consent]})
    assert put.status_code == httpx.codes.GONE
    event = touchpoint(1300)["id"]
    assert (await ok(admin, f"/v1/touchpoints/{event}"))["reason"] == "erased"
    assert (await admin.get(f"/v1/events/{event}/identity")).status_code == httpx.codes.GONE
    listed = await ok(admin, f"{PATH}?profile_id={id_}")
    assert [one["id"] for one in listed["items"]] == [made["id"], document["id"]]
    entries = (await ok(admin, f"/v1/audit?kind=privacy_request&key={made['id']}"))["items"]
    actions = [one["action"] for one in reversed(entries)]
    assert actions == ["request", "request", "erase", "confirm", "confirm", "complete"]
    assert "x.org" not in json.dumps(entries)


@pytest.mark.parametrize(
    "body",
    [
        {"kind": "rectification", "reason": "x"},
        {"kind": "rectification", "traits": {"a": 1}},
        {"kind": "erasure", "traits": {"a": 1}},
        {"kind": "access", "suppress": True},
        {"kind": "rectification", "reason": "x", "traits": {"a": "x" * 3000}},
        {"kind": "rectification", "reason": "x", "traits": {"$context.timezone": "UTC"}},
        {"kind": "oblivion"},
        {"kind": "access", "more": 1},
    ],
)
async def test_what_makes_no_sense_is_refused(
    admin: httpx.AsyncClient, worker: Worker, body: dict[str, Any]
) -> None:
    id_ = (await ok(admin, f"/v1/profiles/by/{CARD[0]}/{CARD[1]}"))["id"]
    answer = await admin.post(PATH, json={"profile_id": id_, **body})
    assert answer.status_code == httpx.codes.UNPROCESSABLE_ENTITY, answer.text


async def test_nobody_is_erased_without_a_key(
    engine: AsyncEngine, app: FastAPI, tokens: dict[Role, str]
) -> None:
    state = app.state.profile
    app.state.profile = type(state)(state.current, state.topics, state.counts, can_erase=False)
    try:
        async with calling(app, tokens[Role.PRIVACY]) as client:
            id_ = (await ok(client, f"/v1/profiles/by/{BROWSER[0]}/{BROWSER[1]}"))["id"]
            answer = await client.post(PATH, json={"kind": "erasure", "profile_id": id_})
    finally:
        app.state.profile = state
    assert answer.status_code == httpx.codes.CONFLICT
    assert "CONCERT_SUPPRESSION_KEY_FILE" in answer.json()["detail"]
