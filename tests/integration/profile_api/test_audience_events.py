"""`/v1/audience-events`: how far an event came on its way to everybody, and keeping it back."""

from uuid import UUID

import httpx
import msgspec
from fastapi import FastAPI

from services.profile.use_cases.fan_out import FanOut
from shared.access import Role
from shared.kafka.messages import PartitionCounts
from shared.postgres.outbox import decode_frame
from tests.integration.profile.definer import Definer
from tests.integration.profile.worker import Worker
from tests.integration.profile_api.test_history import everything
from tests.integration.profile_api.test_profiles import ok
from tests.support.api import calling
from tests.unit.profile.world import touchpoint

NAMED = {"attr": "profile.first_name", "op": "eq", "value": "Ada"}
ADA = {"attr": "profile.first_name", "op": "starts_with", "value": "Ada"}
SEGMENT, PERSONA = {"segment": "buyers"}, {"persona": "saver"}
IN_WORDS = 'the profile\'s first_name is "Ada"'
PATH = "/v1/audience-events"


async def test_the_life_of_an_event(
    admin: httpx.AsyncClient, viewer: httpx.AsyncClient, app: FastAPI, worker: Worker
) -> None:
    event = touchpoint(400, type="Store Closed", audience=NAMED)
    url = f"{PATH}/{event['id']}"
    assert (await admin.get(url)).status_code == 404
    await worker.absorb(event)
    waiting = await ok(admin, url)
    assert waiting["created_at"]
    assert {name: value for name, value in waiting.items() if name != "created_at"} == {
        "id": event["id"],
        "event": "m400",
        "source": "shop",
        "type": "Store Closed",
        "audience": IN_WORDS,
        "status": "waiting",
        "examined": 0,
        "of": None,
        "matched": 0,
        "left_out": 0,
        "started_at": None,
        "finished_at": None,
        "error": None,
    }
    assert (await ok(viewer, url))["audience"] == "***"
    fate = await ok(viewer, f"/v1/touchpoints/{event['id']}")
    assert (fate["profile_id"], fate["reason"]) == (None, "audience")
    progress = ("status", "examined", "of", "matched", "left_out")
    assert fate["audience"] == {name: waiting[name] for name in progress}

    counts = PartitionCounts({"channel.web": 4})
    sweeper = FanOut(worker.engine, counts=counts, rules=lambda: worker.rules)
    while await sweeper.advance(100):
        pass
    done = await ok(admin, url)
    assert (done["status"], done["matched"], done["left_out"]) == ("done", 0, 0)
    assert done["examined"] == done["of"] > 3
    assert done["started_at"] <= done["finished_at"]
    answer = await admin.post(f"{url}:cancel")
    assert answer.status_code == 409
    assert "done" in answer.json()["detail"]


async def test_an_editor_keeps_it_back(
    admin: httpx.AsyncClient, app: FastAPI, worker: Worker, tokens: dict[Role, str]
) -> None:
    event = touchpoint(410, audience=NAMED)
    await worker.absorb(event)
    url = f"{PATH}/{event['id']}"
    async with calling(app, tokens[Role.EDITOR]) as editor:
        answer = await editor.post(f"{url}:cancel")
        assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
        assert (await editor.post(f"{url}:cancel")).status_code == 409
        assert (await editor.post(f"{PATH}/{UUID(int=1)}:cancel")).status_code == 404
    counts = PartitionCounts({"channel.web": 4})
    assert await FanOut(worker.engine, counts=counts, rules=lambda: worker.rules).advance(100) == 0
    audited = await ok(admin, "/v1/audit", kind="audience-events", key=event["id"])
    assert [(one["action"], one["after"]["status"]) for one in audited["items"]] == [
        ("cancel", "cancelled")
    ]


async def test_segments_and_personas_say_who_is_meant(
    admin: httpx.AsyncClient, worker: Worker
) -> None:
    """It waits for the definitions to be with everybody; a name that is not there ends it."""
    definer = Definer(worker)
    await definer.settle()
    event = touchpoint(500, type="Sale", audience={"all": [SEGMENT, PERSONA]})
    await worker.absorb(event)
    counts = PartitionCounts({"channel.web": 4})
    sweeper = FanOut(worker.engine, counts=counts, rules=lambda: worker.rules)
    url = f"{PATH}/{event['id']}"
    assert await sweeper.advance(100) == 1
    failed = await ok(admin, url)
    assert (failed["status"], failed["error"]) == ("failed", "no segment buyers is in force")
    assert failed["matched"] == 0
    assert "buyers" in failed["audience"]

    for path, body in (
        ("/v1/segments/buyers", {"name": "Buyers", "condition": {"event": "Order Completed"}}),
        ("/v1/personas/saver", {"name": "Saver", "order": 1, "condition": ADA}),
    ):
        assert (await admin.put(path, json=body)).status_code == 200
        assert (await admin.post(f"{path}:publish")).status_code == 200
    again = touchpoint(501, type="Sale", audience={"all": [SEGMENT, PERSONA]})
    await worker.absorb(again)
    url = f"{PATH}/{again['id']}"
    assert await sweeper.advance(100) == 0
    assert (await ok(admin, url))["status"] == "waiting"
    await definer.settle()
    while await sweeper.advance(2):
        pass
    ada = await ok(admin, "/v1/profiles/by/email/ada@example.com")
    assert (ada["segments"], ada["persona"]["key"]) == (["buyers"], "saver")
    done = await ok(admin, url)
    assert (done["status"], done["matched"]) == ("done", 1)
    (copy,) = [
        one
        for (frame,) in await worker.rows("SELECT frame FROM outbox WHERE topic = 'channel.web'")
        for message in decode_frame(frame)
        if (one := msgspec.json.decode(message.value or b""))["id"].startswith("m501:")
    ]
    assert copy["identifiers"] == [{"type": "profile_id", "value": ada["id"]}]


async def test_they_are_listed_newest_first_in_pages(
    admin: httpx.AsyncClient, worker: Worker
) -> None:
    for number in range(420, 425):
        await worker.absorb(touchpoint(number, audience=NAMED))
    whole = [one["event"] for one in (await ok(admin, PATH))["items"]]
    assert whole[:5] == ["m424", "m423", "m422", "m421", "m420"]
    pages = await everything(admin, PATH, 2)
    assert [one["event"] for one in pages] == whole
    assert (await admin.get(f"{PATH}?cursor=x")).status_code == 400
