"""Sources over HTTP: who may, what is refused, and the record of it."""

from typing import Any

import httpx
import pytest

from tests.integration.ingest.conftest import Ingest
from tests.support.eventually import eventually
from tests.support.kafka import partitions_of

SOURCE: dict[str, Any] = {"id": "tills", "name": "Tills", "channel": "pos", "default_region": "FR"}


async def test_a_source_from_registration_to_its_record(ingest: Ingest) -> None:
    made = await ingest.admin.post("/v1/sources", json=SOURCE)
    assert made.status_code == 201
    assert made.json()["offline"] is True, "as the default channel is"
    assert (await ingest.admin.post("/v1/sources", json=SOURCE)).status_code == 409
    issued = (await ingest.admin.post("/v1/sources/tills/keys")).json()
    shown = (await ingest.admin.get("/v1/sources/tills")).json()
    assert shown["default_region"] == "FR"
    assert [key["id"] for key in shown["keys"]] == [issued["id"]]
    assert issued["key"] not in str(shown)

    for kind, key, fields in (
        ("source", "tills", {"channel": "pos", "id": "tills"}),
        ("source_key", issued["id"], {"source_id": "tills", "prefix": issued["prefix"]}),
    ):
        log = await ingest.admin.get("/v1/audit", params={"kind": kind, "key": key})
        (entry,) = log.json()["items"]
        assert (entry["action"], entry["before"]) == ("create", None)
        assert fields.items() <= entry["after"].items()
        assert issued["key"] not in log.text


async def test_sources_in_pages(ingest: Ingest) -> None:
    for number in range(5):
        body = {**SOURCE, "id": f"page-{number}"}
        assert (await ingest.admin.post("/v1/sources", json=body)).status_code == 201
    seen: list[str] = []
    cursor: str | None = None
    while True:
        query = {"limit": "2", **({"cursor": cursor} if cursor else {})}
        page = (await ingest.admin.get("/v1/sources", params=query)).json()
        assert len(page["items"]) <= 2
        seen += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert len(seen) == len(set(seen))
    assert [one for one in seen if one.startswith("page-")] == [f"page-{n}" for n in range(5)]


async def test_a_new_channel_has_its_topic_when_the_answer_comes(ingest: Ingest) -> None:
    body = {**SOURCE, "id": "fridge", "channel": "vending", "offline": True}
    assert (await ingest.admin.post("/v1/sources", json=body)).status_code == 201
    topic = ingest.topics.channel("vending")
    assert await eventually(
        lambda: partitions_of(ingest.stack.kafka, topic), retrying=(LookupError,)
    )


@pytest.mark.parametrize(
    "change",
    [
        {"id": "a b"},
        {"id": ""},
        {"channel": "POS"},
        {"channel": "new_one"},
        {"dialect": "klingon"},
        {"default_region": "France"},
        {"subject_as": "User Id"},
        {"subject_as": "profile_id"},
        {"trust": 101},
        {"colour": "red"},
    ],
)
async def test_what_a_source_cannot_be(ingest: Ingest, change: dict[str, Any]) -> None:
    answer = await ingest.admin.post("/v1/sources", json={**SOURCE, "id": "never", **change})
    assert answer.status_code == 422
    assert answer.json()["errors"]
    assert (await ingest.admin.get("/v1/sources/never")).status_code == 404


async def test_who_may(ingest: Ingest) -> None:
    async def token(role: str) -> dict[str, str]:
        made = await ingest.admin.post("/v1/tokens", json={"name": role, "roles": [role]})
        return {"Authorization": f"Bearer {made.json()['token']}"}

    viewer, editor, ops = [await token(role) for role in ("viewer", "editor", "ops")]
    body = {**SOURCE, "id": "of-ops"}
    async with httpx.AsyncClient(base_url=ingest.url) as client:
        assert (await client.get("/v1/sources")).status_code == 401
        for headers in (viewer, editor):
            assert (await client.get("/v1/sources", headers=headers)).status_code == 200
            refused = await client.post("/v1/sources", json=body, headers=headers)
            assert refused.status_code == 403
        assert (await client.post("/v1/sources", json=body, headers=ops)).status_code == 201
        refused = await client.post("/v1/sources/of-ops/keys", headers=editor)
        assert refused.status_code == 403
        unknown = await client.post("/v1/sources/nobody/keys", headers=ops)
        assert unknown.status_code == 404
