"""What a decision is told of a profile: what an update would say of it right now."""

from typing import Any
from urllib.parse import quote

import httpx
import msgspec
import pytest
from fastapi import FastAPI
from sqlalchemy import text

from services.profile.storage import identifiers
from shared.access import Role
from shared.contracts.profile_update import snapshot_decoder, update_decoder
from shared.postgres.transaction import transaction
from tests.integration.profile.worker import Worker
from tests.integration.profile_api.conftest import BROWSER, CARD, EMAIL, PATH_LIKE
from tests.support.api import calling
from tests.unit.profile.world import touchpoint


@pytest.fixture
async def service(app: FastAPI, tokens: dict[Role, str]) -> Any:
    async with calling(app, tokens[Role.SERVICE]) as client:
        yield client


async def read(client: httpx.AsyncClient, type_: str, value: str) -> httpx.Response:
    return await client.get(f"/v1/snapshots/{type_}/{quote(value, safe='')}")


async def last_of(worker: Worker, profile_id: str) -> dict[str, Any]:
    return [one for one in await worker.updates() if one["profile_id"] == profile_id][-1]


async def test_it_is_what_the_last_update_said(service: httpx.AsyncClient, worker: Worker) -> None:
    answer = await read(service, *EMAIL)
    assert answer.status_code == httpx.codes.OK
    told = answer.json()
    last = await last_of(worker, told["profile_id"])
    assert (told["profile"], told["seq"]) == (last["profile"], last["seq"])
    update = update_decoder.decode(answer.content)
    assert snapshot_decoder.decode(update.profile).traits["first_name"] == "Ada B."
    for other in (BROWSER, CARD, ("email", "ADA@example.com "), ("profile_id", told["profile_id"])):
        assert (await read(service, *other)).content == answer.content, other


async def test_an_id_that_was_merged_away_stands_for_the_winner(
    service: httpx.AsyncClient, worker: Worker
) -> None:
    winner = (await read(service, *EMAIL)).json()["profile_id"]
    losers = [one["profile_id"] for one in await worker.updates() if "merged_into" in one]
    assert losers
    for loser in losers:
        assert (await read(service, "profile_id", loser)).json()["profile_id"] == winner


async def test_a_consent_that_was_just_put_is_in_it(
    service: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    (profile_id,) = {(await read(service, *PATH_LIKE)).json()["profile_id"]}
    said = {"purpose": "marketing", "channel": "kiosk", "status": "granted"}
    put = await admin.put(f"/v1/profiles/{profile_id}/consents", json={"consents": [said]})
    assert put.is_success, put.text
    told = (await read(service, *PATH_LIKE)).json()
    assert told["seq"] == put.json()["version"]
    assert [one["status"] for one in told["profile"]["consents"]] == ["granted"]


async def test_nobody_is_found_by_what_many_share_nor_by_what_nobody_has(
    service: httpx.AsyncClient, worker: Worker
) -> None:
    device = ("device_id", "kiosk-7")
    await worker.absorb(touchpoint(801, device, ("user_id", "u801")))
    assert (await read(service, *device)).is_success
    async with transaction(worker.engine) as tx:
        await identifiers.share(tx, [identifiers.identifier_id("\0".join(device))])
    for nobody in (device, ("email", "nobody@x.y"), ("profile_id", "no-uuid"), ("x", "y/z")):
        assert (await read(service, *nobody)).status_code == httpx.codes.NOT_FOUND, nobody


async def test_the_id_of_who_was_erased_is_gone(service: httpx.AsyncClient, worker: Worker) -> None:
    erased = "01930000-0000-7000-8000-00000000e4a5"
    assert (await read(service, "profile_id", erased)).status_code == httpx.codes.NOT_FOUND
    async with transaction(worker.engine) as tx:
        await tx.execute(
            text("INSERT INTO erased_profile VALUES (:id, gen_random_uuid(), now())"),
            {"id": erased},
        )
    assert (await read(service, "profile_id", erased)).status_code == httpx.codes.GONE
    assert (await read(service, "email", erased)).status_code == httpx.codes.NOT_FOUND


async def test_it_is_for_services_alone(app: FastAPI, tokens: dict[Role, str]) -> None:
    async with calling(app, tokens[Role.ADMIN]) as client:
        refused = await read(client, *EMAIL)
    assert refused.status_code == httpx.codes.FORBIDDEN
    assert "needs the role service" in refused.json()["detail"]
    assert msgspec.json.decode(refused.content)["status"] == httpx.codes.FORBIDDEN
