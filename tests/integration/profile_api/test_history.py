"""The timeline, the merges and the consents of a person over HTTP."""

from typing import Any
from urllib.parse import quote

import httpx
import pytest
from fastapi import FastAPI

from services.profile.api.schemas import MergeView, TimelineItem
from shared.access import Role
from tests.integration.profile.worker import Worker
from tests.integration.profile_api.test_profiles import ada, assert_shape, ok
from tests.support.api import calling
from tests.unit.profile.world import touchpoint

GRANTED = {"purpose": "marketing", "channel": "email", "status": "granted", "basis": "consent"}
DENIED = {"purpose": "marketing", "channel": "sms", "status": "denied"}


async def everything(client: httpx.AsyncClient, url: str, limit: int) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        given: dict[str, Any] = {"limit": limit} | ({} if cursor is None else {"cursor": cursor})
        page = await ok(client, url, **given)
        assert len(page["items"]) <= limit
        items += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            return items


async def test_merges_are_listed_oldest_first_with_their_cause(admin: httpx.AsyncClient) -> None:
    person = await ada(admin)
    merges = await everything(admin, f"/v1/profiles/{person['id']}/merges", 1)
    for merge in merges:
        assert_shape(MergeView, merge)
    assert [merge["cause"]["touchpoint_id"] for merge in merges] == [
        touchpoint(4)["id"],
        touchpoint(5, source="crm")["id"],
    ]
    assert {merge["winner"] for merge in merges} == {person["id"]}
    assert merges[1]["moved"] == [{"type": "loyalty_id", "value": "L1"}]
    old = merges[0]["loser"]
    assert await everything(admin, f"/v1/profiles/{old}/merges", 50) == merges


@pytest.mark.parametrize("limit", [1, 3, 50])
async def test_the_timeline_is_complete_newest_first_in_pages_of_any_size(
    admin: httpx.AsyncClient, limit: int
) -> None:
    url = f"/v1/profiles/{(await ada(admin))['id']}/timeline"
    items = await everything(admin, url, limit)
    for item in items:
        assert_shape(TimelineItem, item)
        assert set(item) == {"kind", "at", "id", item["kind"]}
    seen = [(item["at"], item["id"]) for item in items]
    assert seen == sorted(seen, reverse=True)
    touchpoints = [item["touchpoint"] for item in items if item["kind"] == "touchpoint"]
    assert [one["message_id"] for one in touchpoints] == ["m6", "m5", "m4", "m3", "m2", "m1"]
    assert touchpoints[3]["properties"]["total"] == 99.9
    assert len([item for item in items if item["kind"] == "merge"]) == 2


async def test_a_consent_holds_is_told_and_audited(
    admin: httpx.AsyncClient, worker: Worker
) -> None:
    await worker.absorb(touchpoint(200, ("email", "di@example.com")))
    person = await ok(admin, "/v1/profiles/by/email/di@example.com")
    url = f"/v1/profiles/{person['id']}/consents"
    answer = await admin.put(url, json={"consents": [GRANTED, DENIED]}, headers={"If-Match": '"1"'})
    assert answer.status_code == 200
    assert (answer.headers["etag"], answer.json()["version"]) == ('"2"', 2)
    consents = (await ok(admin, url))["items"]
    assert answer.json()["consents"] == consents
    assert [(one["channel"], one["status"], one["basis"]) for one in consents] == [
        ("email", "granted", "consent"),
        ("sms", "denied", None),
    ]
    [told] = [one for one in await worker.updates() if one["profile_id"] == person["id"]][1:]
    assert (told["seq"], told["cause"]["kind"]) == (2, "consent_changed")
    timeline = (await ok(admin, f"/v1/profiles/{person['id']}/timeline"))["items"]
    assert sorted(item["kind"] for item in timeline) == ["consent", "consent", "touchpoint"]
    assert {item["consent"]["channel"] for item in timeline if item["kind"] == "consent"} == {
        "email",
        "sms",
    }

    lost = await admin.put(url, json={"consents": [DENIED]}, headers={"If-Match": '"1"'})
    assert lost.status_code == 412
    again = await admin.put(url, json={"consents": [GRANTED]})
    assert again.json()["version"] == 2
    withdrawn = await admin.put(url, json={"consents": [GRANTED | {"status": "denied"}]})
    assert [one["status"] for one in withdrawn.json()["consents"]] == ["denied", "denied"]

    audit = await ok(admin, "/v1/audit", kind="consents", key=person["id"])
    [second, first] = [(entry["before"], entry["after"]) for entry in audit["items"]]
    assert (first[0], [one["status"] for one in first[1]]) == ([], ["granted", "denied"])
    assert [one["status"] for one in second[0]] == ["granted", "denied"]
    assert [one["status"] for one in second[1]] == ["denied", "denied"]


async def test_consents_of_an_old_id_are_recorded_on_the_profile_it_belongs_to(
    app: FastAPI, admin: httpx.AsyncClient, tokens: dict[Role, str]
) -> None:
    person = await ada(admin)
    [old, *_] = await everything(admin, f"/v1/profiles/{person['id']}/merges", 50)
    async with calling(app, tokens[Role.PRIVACY]) as officer:
        answer = await officer.put(
            f"/v1/profiles/{old['loser']}/consents", json={"consents": [GRANTED]}
        )
    assert answer.json()["id"] == person["id"]
    assert [one["status"] for one in (await ada(admin))["consents"]] == ["granted"]


@pytest.mark.parametrize(
    "consents",
    [
        [],
        [GRANTED | {"status": "maybe"}],
        [GRANTED | {"purpose": ""}],
        [GRANTED | {"purpose": "a b"}],
        [GRANTED | {"chanel": "email"}],
        [{"purpose": "marketing", "status": "granted"}],
        [GRANTED] * 101,
    ],
)
async def test_consents_that_cannot_be_meant_are_refused(
    admin: httpx.AsyncClient, consents: list[dict[str, str]]
) -> None:
    person = await ada(admin)
    answer = await admin.put(f"/v1/profiles/{person['id']}/consents", json={"consents": consents})
    assert answer.status_code == 422
    assert answer.json()["errors"]
    assert (await ada(admin))["version"] == person["version"]


async def test_the_counters_of_a_source(viewer: httpx.AsyncClient, worker: Worker) -> None:
    name = "https://shop.example/a b"
    sent = touchpoint(300, source=name)
    copy = {**sent, "raw": {"topic": "channel.web", "partition": 0, "offset": 301}}
    await worker.absorb(sent, sent, copy)
    url = f"/v1/touchpoint-counters/{quote(name, safe='')}"
    assert await ok(viewer, url) == {"accepted": 1, "duplicate": 1}
    assert await ok(viewer, "/v1/touchpoint-counters/nobody") == {"accepted": 0, "duplicate": 0}
    for wrong, status in (("a%00b", 400), ("x" * 257, 422)):
        answer = await viewer.get(f"/v1/touchpoint-counters/{wrong}")
        assert answer.status_code == status
    assert await ok(viewer, f"/v1/touchpoints/{sent['id']}") == {
        "id": sent["id"],
        "profile_id": None,
        "reason": "no_identity",
        "duplicates": 1,
        "source": name,
        "audience": None,
    }


async def timeline_of(
    client: httpx.AsyncClient, profile_id: str, *, limit: int = 200, **params: Any
) -> list[tuple[str, str]]:
    """Kind and instant of every item, over all pages."""
    found: list[tuple[str, str]] = []
    cursor: dict[str, str] = {}
    while True:
        given = {"limit": limit, **params, **cursor}
        page = await ok(client, f"/v1/profiles/{profile_id}/timeline", **given)
        found += [(one["kind"], one["at"]) for one in page["items"]]
        if page["next_cursor"] is None:
            return found
        cursor = {"cursor": page["next_cursor"]}


@pytest.mark.parametrize("limit", [1, 2, 200])
async def test_a_timeline_is_filtered_page_by_page(admin: httpx.AsyncClient, limit: int) -> None:
    person = await ada(admin)
    every = await timeline_of(admin, person["id"])
    assert len(every) > 6

    async def asked(**params: Any) -> list[tuple[str, str]]:
        return await timeline_of(admin, person["id"], limit=limit, **params)

    assert await asked() == every
    for kind in ("touchpoint", "merge", "consent"):
        assert await asked(kind=kind) == [one for one in every if one[0] == kind]
    assert await asked(kind=["merge", "consent"]) == [
        one for one in every if one[0] != "touchpoint"
    ]
    second, sixth = "2026-11-21T10:00:02.000Z", "2026-11-21T10:00:06.000Z"
    assert await asked(**{"from": second, "to": sixth}) == [
        one for one in every if second <= one[1] < sixth
    ]
    assert [at[17:19] for _, at in await asked(type="Order Completed")] == ["06", "03"]
    assert [at[17:19] for _, at in await asked(source="crm")] == ["05"]
    assert await asked(channel="web") == [one for one in every if one[0] == "touchpoint"]
    assert await asked(channel="pos") == await asked(type="x", source="crm") == []
    assert await asked(type=["Order Completed", "x"], to=sixth) == [
        ("touchpoint", "2026-11-21T10:00:03.000Z")
    ]
    assert await asked(kind="merge", type="Order Completed") == []


@pytest.mark.parametrize(
    "params",
    [{"kind": "nonsense"}, {"from": "yesterday"}, {"from": "2026-11-21T10:00:00"}, {"type": ""}],
)
async def test_the_filters_of_a_timeline_are_checked(
    admin: httpx.AsyncClient, params: dict[str, str]
) -> None:
    person = await ada(admin)
    answer = await admin.get(f"/v1/profiles/{person['id']}/timeline", params=params)
    assert answer.status_code == 422
