"""Searching people over HTTP: by identifier and name, paged, merged ones gone, and what a viewer
may find."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from services.profile.api.search import ResultView
from shared.access import Role
from tests.integration.profile.worker import Worker
from tests.integration.profile_api.test_profiles import assert_shape, ok
from tests.support.api import calling, crafted_cursors
from tests.unit.profile.world import touchpoint

NAMED = [
    ("zoe-1", "Zoë", "Ångström", "zoe@example.com"),
    ("zoe-2", "ZOE", "Miller", "miller@example.com"),
    ("m-1", "Max", "Zoeller", "max@example.com"),
    ("U-Case", "Łukasz", "", "lukasz@example.com"),
]


@pytest.fixture(autouse=True, scope="module")
async def people(worker: Worker) -> None:
    """Four people with names, and thirty with the same one; one of two was merged away."""
    bodies = [
        touchpoint(
            200 + n,
            ("user_id", user),
            ("email", email),
            traits={"first_name": first} | ({"last_name": last} if last else {}),
        )
        for n, (user, first, last, email) in enumerate(NAMED)
    ]
    bodies += [
        touchpoint(300 + n, ("user_id", f"twin-{n:02d}"), traits={"first_name": "Twain"})
        for n in range(30)
    ]
    bodies += [
        touchpoint(400, ("anonymous_id", "q-browser"), traits={"first_name": "Quentin"}),
        touchpoint(401, ("user_id", "q-user"), traits={"first_name": "Quentin"}),
        touchpoint(402, ("user_id", "q-user"), ("anonymous_id", "q-browser")),
        touchpoint(403, ("user_id", "renamed"), traits={"first_name": "Before"}),
    ]
    await worker.absorb_in_batches(bodies, 7)
    await worker.absorb(touchpoint(404, ("user_id", "renamed"), traits={"first_name": "After"}))


@pytest.fixture
async def viewer(app: FastAPI, tokens: dict[Role, str]) -> AsyncIterator[httpx.AsyncClient]:
    async with calling(app, tokens[Role.VIEWER]) as client:
        yield client


async def names(client: httpx.AsyncClient, q: str, **params: Any) -> list[str]:
    found = await ok(client, "/v1/profiles:search", q=q, **params)
    for one in found["items"]:
        assert_shape(ResultView, one)
    return [one["profile"]["traits"].get("first_name", "") for one in found["items"]]


async def reasons(client: httpx.AsyncClient, q: str) -> list[tuple[str, str, str | None, str]]:
    found = await ok(client, "/v1/profiles:search", q=q)
    return [
        (match["on"], match["how"], match["type"], match["value"])
        for match in found["items"][0]["matches"]
    ]


@pytest.mark.parametrize(
    ("q", "found"),
    [
        ("zoe", ["Zoë", "ZOE", "Max"]),
        ("ZOË", ["Zoë", "ZOE", "Max"]),
        ("zoe a", ["Zoë"]),
        ("angstrom zoe", ["Zoë"]),
        ("Ångst", ["Zoë"]),
        ("zoelle", ["Max"]),
        ("lukasz", ["Łukasz"]),
        ("u-ca", ["Łukasz"]),
        ("U-CASE", ["Łukasz"]),
        ("MILLER@", ["ZOE"]),
        (" Miller@Example.com ", ["ZOE"]),
        ("+33 6 12 34 56 78", [""]),
        ("+33 (6) 12", [""]),
        ("quentin", ["Quentin"]),
        ("q-", ["Quentin"]),
        ("before", []),
        ("after", ["After"]),
        ("nobody at all", []),
        ("%", []),
        ("zo_", []),
        ("\\", []),
    ],
)
async def test_people_are_found_by_what_they_begin_with(
    admin: httpx.AsyncClient, q: str, found: list[str]
) -> None:
    assert await names(admin, q) == found


async def test_a_result_says_why(admin: httpx.AsyncClient) -> None:
    assert await reasons(admin, "zoe@example.com") == [
        ("identifier", "exact", "email", "zoe@example.com")
    ]
    assert await reasons(admin, "zoe") == [
        ("identifier", "prefix", "user_id", "zoe-1"),
        ("identifier", "prefix", "email", "zoe@example.com"),
        ("name", "prefix", None, "Zoë Ångström"),
    ]


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 29])
async def test_everybody_is_on_exactly_one_page(admin: httpx.AsyncClient, limit: int) -> None:
    for q, expected in (("tw", 30), ("zoe", 3), ("m", 0)):
        whole = [
            one["profile"]["id"] for one in (await ok(admin, "/v1/profiles:search", q=q))["items"]
        ]
        paged: list[str] = []
        cursor: dict[str, str] = {}
        while True:
            page = await ok(admin, "/v1/profiles:search", q=q, limit=limit, **cursor)
            assert len(page["items"]) <= limit
            paged += [one["profile"]["id"] for one in page["items"]]
            if page["next_cursor"] is None:
                break
            cursor = {"cursor": page["next_cursor"]}
        assert paged == whole
        assert len(set(paged)) == len(paged) == expected


async def test_who_sees_masked_finds_whole_identifiers_only(
    viewer: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    for q in ("zoe", "zoe@", "miller", "angstrom", "u-", "+336"):
        assert await names(viewer, q) == []
        assert (await ok(admin, "/v1/profiles:search", q=q, masked="true"))["items"] == []
    found = await ok(viewer, "/v1/profiles:search", q="ZOE@example.com")
    assert found["items"][0]["matches"] == [
        {"on": "identifier", "how": "exact", "type": "email", "value": "z***"}
    ]
    assert found["items"][0]["profile"]["traits"]["last_name"] == "Å***"
    brief = await ok(viewer, "/v1/profiles:search", q="u-case", fields="traits")
    assert [one["profile"]["traits"] for one in brief["items"]] == [{"first_name": "Ł***"}]


async def test_a_search_is_checked(admin: httpx.AsyncClient) -> None:
    for q in ("", "   ", "x" * 201):
        assert (await admin.get("/v1/profiles:search", params={"q": q})).status_code == 422
    for cursor in crafted_cursors():
        answer = await admin.get("/v1/profiles:search", params={"q": "zoe", "cursor": cursor})
        assert answer.status_code == 400, cursor
