"""Exports over HTTP: found by the sweeper, streamed, gone on with, and on record."""

import csv
import io
import json
from typing import Any
from uuid import UUID

import httpx
import pytest

from services.profile.storage import exports as stored
from services.profile.use_cases import export_profiles
from services.profile.use_cases.export_profiles import ExportProfiles
from shared.postgres.transaction import transaction
from tests.integration.profile.definer import Definer
from tests.integration.profile.worker import Worker
from tests.integration.profile_api.test_profiles import ok
from tests.support.api import crafted_cursors
from tests.unit.profile.world import touchpoint

PEOPLE = 250


@pytest.fixture(autouse=True, scope="module")
async def people(worker: Worker) -> None:
    bodies = [
        touchpoint(
            1000 + n, ("user_id", f"x-{n:03d}"), traits={"team": "red" if n % 5 else "=blue"}
        )
        for n in range(PEOPLE)
    ]
    await worker.absorb_in_batches(bodies, 50)


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every export takes several pages and pieces."""
    monkeypatch.setattr(export_profiles, "PAGE", 40)
    monkeypatch.setattr(export_profiles, "PIECE", 7)


RED = {"attr": "profile.team", "op": "eq", "value": "red"}


async def export(admin: httpx.AsyncClient, worker: Worker, **body: Any) -> dict[str, Any]:
    """An export that the sweeper has carried out."""
    answer = await admin.post("/v1/exports", json=body)
    assert answer.status_code == 202, answer.text
    sweeper = ExportProfiles(worker.engine)
    while await sweeper.advance(200):
        pass
    found: dict[str, Any] = await ok(admin, f"/v1/exports/{answer.json()['id']}")
    return found


async def fetch(admin: httpx.AsyncClient, made: dict[str, Any], **params: Any) -> httpx.Response:
    answer = await admin.get(f"/v1/exports/{made['id']}/content", params=params)
    assert answer.status_code == 200, answer.text
    return answer


async def test_an_export_holds_exactly_whom_the_condition_holds_for(
    admin: httpx.AsyncClient, worker: Worker
) -> None:
    made = await export(admin, worker, condition=RED, fields=["traits.team", "identifiers"])
    assert made["status"] == "done"
    assert (made["matched"], made["examined"]) == (PEOPLE * 4 // 5, made["of"])
    assert made["of"] == len(await worker.active())
    answer = await fetch(admin, made)
    assert answer.headers["content-type"] == "application/x-ndjson"
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert [one["id"] for one in lines] == sorted(one["id"] for one in lines)
    assert len(lines) == made["matched"]
    assert {one["traits"]["team"] for one in lines} == {"red"}
    assert sorted(one["identifiers"][0]["value"] for one in lines) == [
        f"x-{n:03d}" for n in range(PEOPLE) if n % 5
    ]
    for place in (0, 6, 7, 41, len(lines) - 2, len(lines) - 1):
        rest = await fetch(admin, made, after=lines[place]["id"])
        assert [json.loads(line) for line in rest.text.splitlines()] == lines[place + 1 :]
    everybody = await export(admin, worker)
    assert everybody["matched"] == everybody["of"]


async def test_csv_has_a_head_once_and_no_formulas(
    admin: httpx.AsyncClient, worker: Worker
) -> None:
    made = await export(
        admin,
        worker,
        format="csv",
        fields=["traits.team", "identifiers.user_id"],
        condition={"attr": "profile.team", "op": "eq", "value": "=blue"},
    )
    answer = await fetch(admin, made)
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == f'attachment; filename="{made["id"]}.csv"'
    head, *records = csv.reader(io.StringIO(answer.text, newline=""))
    assert head == ["id", "traits.team", "identifiers.user_id"]
    assert len(records) == PEOPLE // 5
    assert {record[1] for record in records} == {"'=blue"}
    rest = await fetch(admin, made, after=records[9][0])
    assert list(csv.reader(io.StringIO(rest.text, newline=""))) == records[10:]
    masked = await fetch(admin, made, masked="true")
    assert "x***" in masked.text
    assert "x-000" not in masked.text


async def test_a_segment_is_exported_and_merged_people_are_left_out(
    admin: httpx.AsyncClient, worker: Worker
) -> None:
    await Definer(worker).segment("reds", RED)
    await Definer(worker).settle(100)
    made = await export(admin, worker, segment="reds", fields=["version"])
    assert (made["condition"], made["matched"]) == ({"segment": "reds"}, PEOPLE * 4 // 5)
    await worker.absorb(touchpoint(2000, ("user_id", "x-001"), ("email", "both@example.com")))
    await worker.absorb(touchpoint(2001, ("loyalty_id", "card"), ("email", "both@example.com")))
    before = len((await fetch(admin, made)).text.splitlines())
    one = (await ok(admin, "/v1/profiles/by/user_id/x-002"))["id"]
    other = await worker.absorb(touchpoint(2002, ("anonymous_id", "later")))
    assert other is not None
    later = (await ok(admin, "/v1/profiles/by/anonymous_id/later"))["id"]
    await admin.post("/v1/profiles:merge", json={"profiles": [one, later], "reason": "the same"})
    assert len((await fetch(admin, made)).text.splitlines()) == before


async def test_who_made_and_who_fetched_it_is_on_record(
    admin: httpx.AsyncClient, worker: Worker
) -> None:
    made = await export(admin, worker, condition=RED, fields=["traits"])
    await fetch(admin, made, reason="for the mailing house")
    log = (await ok(admin, "/v1/audit", kind="export", key=made["id"]))["items"]
    assert [one["action"] for one in log] == ["fetch", "create"]
    assert log[0]["after"] == {
        "fields": ["traits"],
        "people": made["matched"],
        "after": None,
        "reason": "for the mailing house",
        "masked": False,
    }
    assert log[1]["after"]["condition"] == {"attributes": ["profile.team"]}
    assert (await admin.delete(f"/v1/exports/{made['id']}")).status_code == 204
    assert (await admin.get(f"/v1/exports/{made['id']}")).status_code == 404
    assert await worker.rows(f"SELECT 1 FROM export_part WHERE export_id = '{made['id']}'") == []


async def test_exports_are_listed_newest_first(admin: httpx.AsyncClient, worker: Worker) -> None:
    made = [(await export(admin, worker, condition=RED))["id"] for _ in range(3)]
    first = await ok(admin, "/v1/exports", limit=2)
    assert [one["id"] for one in first["items"]] == made[:0:-1]
    rest = await ok(admin, "/v1/exports", limit=200, cursor=first["next_cursor"])
    assert rest["items"][0]["id"] == made[0]
    for cursor in crafted_cursors():
        answer = await admin.get("/v1/exports", params={"cursor": cursor})
        assert answer.status_code == 400


@pytest.mark.parametrize(
    ("body", "rule"),
    [
        ({"condition": {"attr": "event.x", "op": "eq", "value": 1}}, "profile_only"),
        ({"condition": {"event": "Never Counted"}}, "not_counted"),
        ({"segment": "nobody"}, "unknown_segment"),
        ({"condition": {"persona": "nobody"}}, "unknown_persona"),
        ({"segment": "a", "condition": RED}, "one_of"),
        ({"format": "csv"}, "required"),
        ({"format": "xml"}, "literal_error"),
        ({"fields": ["trait"]}, "unknown_field"),
        ({"who": "x"}, "extra_forbidden"),
    ],
)
async def test_what_is_asked_is_checked(
    admin: httpx.AsyncClient, body: dict[str, Any], rule: str
) -> None:
    answer = await admin.post("/v1/exports", json=body)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["rule"] == rule


async def test_an_export_has_to_be_done_before_it_is_fetched(
    admin: httpx.AsyncClient, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = (await admin.post("/v1/exports", json={})).json()
    url = f"/v1/exports/{made['id']}/content"
    assert (await admin.get(url)).status_code == 409
    sweeper = ExportProfiles(worker.engine)
    assert await sweeper.advance(1) == 1
    running = await ok(admin, f"/v1/exports/{made['id']}")
    assert (running["status"], running["examined"]) == ("running", 40)
    await sweeper.give_up()
    failed = await ok(admin, f"/v1/exports/{made['id']}")
    assert (failed["status"], "failed again" in failed["error"]) == ("failed", True)
    assert (await admin.get(url)).status_code == 409
    assert (await admin.get(f"/v1/exports/{UUID(int=1)}/content")).status_code == 404
    monkeypatch.setattr(export_profiles, "MOST_OPEN", 0)
    refused = await admin.post("/v1/exports", json={})
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "60")


async def test_finished_exports_are_forgotten_after_some_days(
    admin: httpx.AsyncClient, worker: Worker
) -> None:
    made = await export(admin, worker, condition=RED)
    async with transaction(worker.engine) as tx:
        await stored.expire(tx, 1)
    await ok(admin, f"/v1/exports/{made['id']}")
    async with transaction(worker.engine) as tx:
        await stored.expire(tx, 0)
    assert (await admin.get(f"/v1/exports/{made['id']}")).status_code == 404
