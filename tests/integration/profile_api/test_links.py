"""Link suggestions over HTTP: asked for, found, shown in words, decided, counted."""

import asyncio
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI

from shared.access import Role
from tests.integration.profile.linker import linker_on
from tests.integration.profile.worker import Worker
from tests.support.api import calling, crafted_cursors
from tests.unit.profile.world import touchpoint

URL = "/v1/link-suggestions"
IDA = {"first_name": "Ida", "last_name": "Rhodes", "birthday": "1900-05-15", "city": "Kyiv"}
JEAN = {"first_name": "Jean", "last_name": "Bartik", "birthday": "1924-12-27", "city": "Ulm"}


@pytest.fixture(scope="module")
async def searched(app: FastAPI, worker: Worker, tokens: dict[Role, str]) -> None:
    """A batch was asked for over HTTP, and done."""
    await worker.absorb(
        touchpoint(101, ("loyalty_id", "ida-1"), traits=IDA),
        touchpoint(102, ("email", "ida@x.y"), traits=IDA | {"birthday": "1900-05-16"}),
        touchpoint(103, ("loyalty_id", "jean-1"), traits=JEAN),
        touchpoint(104, ("email", "jean@x.y"), traits=JEAN | {"last_name": "Bartick"}),
    )
    async with calling(app, tokens[Role.EDITOR]) as editor:
        assert (await editor.get(f"{URL}:run")).status_code == 404
        asked = await editor.post(f"{URL}:run", json={"threshold": 0.9})
        assert asked.status_code == 202
        assert asked.json()["status"] == "queued"
        again = await editor.post(f"{URL}:run", json={"threshold": 0.9})
        assert again.status_code == 409
        assert await linker_on(worker.engine).serve_one(asyncio.Event())


@pytest.mark.usefixtures("searched")
async def test_a_batch_is_shown_found_and_decided(
    app: FastAPI, tokens: dict[Role, str], viewer: httpx.AsyncClient
) -> None:
    run = (await viewer.get(f"{URL}:run")).json()
    assert (run["status"], run["suggestions"], run["requested_by"]) == ("completed", 2, "editor")
    first = (await viewer.get(URL, params={"min_score": 0.9, "limit": 1})).json()
    rest = (await viewer.get(URL, params={"limit": 1, "cursor": first["next_cursor"]})).json()
    items = [*first["items"], *rest["items"]]
    assert len(items) == 2
    assert rest["next_cursor"] is None
    assert {one["status"] for one in items} == {"open"}
    words = {feature["words"] for one in items for feature in one["features"]}
    assert "birthday one digit apart" in words
    async with calling(app, tokens[Role.EDITOR]) as editor:
        for verdict in ("accept", "reject"):
            assert (await editor.post(f"{URL}/{items[0]['id']}:{verdict}")).status_code == 403
    async with calling(app, tokens[Role.PRIVACY]) as officer:
        accepted = (await officer.post(f"{URL}/{items[0]['id']}:accept")).json()
        rejected = (await officer.post(f"{URL}/{items[1]['id']}:reject")).json()
        opposite = await officer.post(f"{URL}/{items[1]['id']}:accept")
        unknown = await officer.post(f"{URL}/{UUID(int=1)}:reject")
    assert (opposite.status_code, unknown.status_code) == (409, 404)
    assert accepted["verdict"]["by"] == rejected["verdict"]["by"] == "privacy"
    assert rejected["verdict"]["merge_id"] is None
    person = (await viewer.get(f"/v1/profiles/{items[0]['profile_b']}")).json()
    assert person["id"] == items[0]["profile_a"]
    (merge,) = (await viewer.get(f"/v1/profiles/{person['id']}/merges")).json()["items"]
    assert merge["id"] == accepted["verdict"]["merge_id"]
    assert merge["cause"]["suggestion_id"] == items[0]["id"]
    assert (await viewer.get(URL, params={"status": "open"})).json()["items"] == []
    figures = (await viewer.get(f"{URL}:precision")).json()
    assert (figures["decided"], figures["precision"]) == (2, 0.5)
    assert [band["from"] for band in figures["bands"]] == [0.0, 0.9, 0.95, 0.99, 0.999]
    assert sum(band["decided"] for band in figures["bands"]) == 2


@pytest.mark.parametrize("body", [{"threshold": 1}, {"threshold": 0.4}, {"treshold": 0.9}])
async def test_a_batch_that_makes_no_sense_is_refused(
    app: FastAPI, tokens: dict[Role, str], body: dict[str, float]
) -> None:
    async with calling(app, tokens[Role.EDITOR]) as editor:
        answer = await editor.post(f"{URL}:run", json=body)
    assert answer.status_code == 422


@pytest.mark.parametrize("cursor", crafted_cursors())
async def test_a_cursor_that_was_never_given_out_is_refused(
    viewer: httpx.AsyncClient, cursor: str
) -> None:
    answer = await viewer.get(URL, params={"cursor": cursor})
    assert answer.status_code == 400
