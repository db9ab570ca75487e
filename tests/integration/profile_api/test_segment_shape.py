"""Clients of Segment's Profile API: what they ask, and the answers they know."""

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from fastapi import FastAPI

from shared.access import Role
from tests.integration.profile_api.conftest import PATH_LIKE
from tests.integration.profile_api.test_profiles import ada, ok
from tests.support.api import crafted_cursors
from tests.unit.profile.world import touchpoint

USERS = "/v1/spaces/lgJ4AAjFN4/collections/users/profiles"


@pytest.fixture
async def segment(app: FastAPI, tokens: dict[Role, str]) -> AsyncIterator[httpx.AsyncClient]:
    """A client that shows its token as Segment's do: a user name without a password."""
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(
        transport=transport, base_url="http://concert", auth=(tokens[Role.ADMIN], "")
    ) as client:
        yield client


async def test_traits_come_ten_at_a_time_and_go_on_at_next(segment: httpx.AsyncClient) -> None:
    url = f"{USERS}/email:ada@example.com/traits"
    whole = await ok(segment, url, limit=200)
    assert whole["traits"]["first_name"] == "Ada B."
    assert (whole["traits"]["touchpoints"], whole["traits"]["orders"]) == (6, 2)
    assert whole["cursor"] == {"url": url, "has_more": False, "next": "", "limit": 200}
    found: dict[str, Any] = {}
    given: dict[str, Any] = {"limit": 2}
    while True:
        page = await ok(segment, url, **given)
        assert len(page["traits"]) <= 2
        found |= page["traits"]
        if not page["cursor"]["has_more"]:
            break
        given["next"] = page["cursor"]["next"]
        assert page["cursor"]["url"].startswith(f"{url}?limit=2&next=")
    assert found == whole["traits"]
    assert list(found) == sorted(found)


async def test_traits_by_name_by_class_and_verbose(segment: httpx.AsyncClient) -> None:
    url = f"{USERS}/email:ada@example.com/traits"
    assert (await ok(segment, url, include="score, first_name,none"))["traits"] == {
        "first_name": "Ada B.",
        "score": 7,
    }
    verbose = await ok(segment, url, include="first_name", verbose="true")
    assert verbose["traits"]["first_name"] == {
        "value": "Ada B.",
        "source_id": "crm",
        "updated_at": "2026-11-21T10:00:05.000Z",
    }
    computed = await ok(segment, url, **{"class": "computed_trait"})
    assert sorted(computed["traits"]) == [
        *("first_seen_at", "last_seen_at", "orders", "revenue", "touchpoints")
    ]
    assert (await ok(segment, url, **{"class": "audience"}))["traits"] == {}


async def test_external_ids_name_their_type(segment: httpx.AsyncClient) -> None:
    found = await ok(segment, f"{USERS}/anonymous_id:b-1/external_ids", limit=2)
    assert found["data"][0] == {
        "source_id": None,
        "collection": "users",
        "id": "ada@example.com",
        "type": "email",
        "created_at": "2026-11-21T10:00:02.000Z",
        "encoding": "none",
    }
    rest = await ok(segment, f"{USERS}/anonymous_id:b-1/external_ids", next=found["cursor"]["next"])
    types = [one["type"] for one in (*found["data"], *rest["data"])]
    assert types == ["email", "loyalty_id", "anonymous_id"]
    some = await ok(segment, f"{USERS}/anonymous_id:b-1/external_ids", include="loyalty_id")
    assert [one["id"] for one in some["data"]] == ["L1"]


async def everything(client: httpx.AsyncClient, url: str, **params: Any) -> list[dict[str, Any]]:
    data: list[dict[str, Any]] = []
    while True:
        page = await ok(client, url, **params)
        data += page["data"]
        if not page["cursor"]["has_more"]:
            return data
        params["next"] = page["cursor"]["next"]


@pytest.mark.parametrize("limit", [1, 4, 100])
async def test_events_newest_first_or_oldest_first(segment: httpx.AsyncClient, limit: int) -> None:
    url = f"{USERS}/email:ada@example.com/events"
    newest = await everything(segment, url, limit=limit)
    assert [one["timestamp"][17:19] for one in newest] == ["06", "05", "04", "03", "02", "01"]
    assert await everything(segment, url, limit=limit, sort="asc") == newest[::-1]
    assert newest[0]["event"] == "Order Completed"
    assert newest[0]["properties"] == {"total": "60.00", "currency": "EUR"}
    assert newest[0]["external_ids"][0]["id"] == "ada@example.com"
    assert newest[0]["message_id"] == touchpoint(6)["message_id"]
    some = await everything(segment, url, limit=limit, include="Order Completed")
    assert some == [newest[0], newest[3]]
    others = await everything(segment, url, limit=limit, exclude="Order Completed", sort="asc")
    assert others == [one for one in newest[::-1] if one not in some]
    span = {"start": newest[3]["timestamp"], "end": newest[1]["timestamp"]}
    assert await everything(segment, url, limit=limit, **span) == newest[2:4]


async def test_metadata_names_the_first_and_the_last_event(segment: httpx.AsyncClient) -> None:
    found = (await ok(segment, f"{USERS}/email:ada@example.com/metadata"))["metadata"]
    assert found == {
        "created_at": "2026-11-21T10:00:01.000Z",
        "updated_at": "2026-11-21T10:00:06.000Z",
        "expires_at": None,
        "first_message_id": "m1",
        "first_source_id": "shop",
        "last_message_id": "m6",
        "last_source_id": "shop",
    }


async def test_a_profile_is_named_in_many_ways(
    segment: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    person = await ada(admin)
    for name in (
        person["id"],
        f"profile_id:{person['id']}",
        "loyalty_id:L1",
        "email:ADA@example.com",
    ):
        answer = await segment.get(f"{USERS}/{name}/traits", params={"include": "score"})
        assert answer.json()["traits"] == {"score": 7}, name
        assert answer.headers["request-id"] == answer.headers["x-trace-id"]
    phone = await ok(segment, f"{USERS}/phone:%2B33612345678/external_ids")
    assert phone["data"][0]["type"] == "phone"
    odd = await ok(segment, f"{USERS}/{PATH_LIKE[0]}:{quote(PATH_LIKE[1], safe='')}/external_ids")
    assert odd["data"][0]["id"] == PATH_LIKE[1]


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        (f"{USERS}/email:nobody@example.com/traits", 404, "not_found"),
        (f"{USERS}/profile_id:x/metadata", 404, "not_found"),
        (f"{USERS}/nonsense/traits", 400, "validation_error"),
        (f"{USERS}/email:ada@example.com/traits?class=x", 400, "validation_error"),
        (f"{USERS}/email:ada@example.com/traits?limit=0", 400, "validation_error"),
        (f"{USERS}/email:ada@example.com/events?sort=up", 400, "validation_error"),
        (f"{USERS.replace('users', 'accounts')}/group_id:1/traits", 404, "not_found"),
    ],
)
async def test_errors_look_as_its_clients_know_them(
    segment: httpx.AsyncClient, path: str, status: int, code: str
) -> None:
    answer = await segment.get(path)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert answer.json()["error"]["message"]
    assert answer.headers["request-id"]


async def test_a_forged_cursor_is_refused(segment: httpx.AsyncClient) -> None:
    for cursor in crafted_cursors():
        url = f"{USERS}/email:ada@example.com/events"
        answer = await segment.get(url, params={"next": cursor})
        assert answer.status_code == 400, cursor


async def test_tokens_are_checked_and_roles_see_what_they_may(
    app: FastAPI, tokens: dict[Role, str]
) -> None:
    url = f"{USERS}/email:ada@example.com/traits?include=first_name"
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://concert") as client:
        for auth in (None, ("nobody", ""), ("", "")):
            refused = await client.get(url, auth=auth)
            assert refused.status_code == 401
            assert refused.json()["error"]["code"] == "authentication_error"
            assert refused.headers["www-authenticate"].startswith("Basic")
        masked = await client.get(url, auth=(tokens[Role.VIEWER], ""))
        assert masked.json()["traits"] == {"first_name": "A***"}
        elsewhere = await client.get("/v1/profiles", auth=(tokens[Role.ADMIN], ""))
        assert elsewhere.status_code == 401
