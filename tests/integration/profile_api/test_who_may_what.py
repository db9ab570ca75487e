"""Every route x every role against a table that a person can read."""

from uuid import UUID

import pytest
from fastapi import FastAPI

from shared.access import Role
from tests.support.api import ACCESS_ROUTES, MAY, calling, served, who_may_call

ROUTES: dict[tuple[str, str], str] = {
    ("GET", "/v1/profiles"): "read",
    ("GET", "/v1/profiles/by/{type}/{value}"): "read",
    ("GET", "/v1/profiles/{profile_id}"): "read",
    ("GET", "/v1/profiles/{profile_id}/identifiers"): "read",
    ("GET", "/v1/profiles/{profile_id}/timeline"): "read",
    ("GET", "/v1/profiles/{profile_id}/merges"): "read",
    ("GET", "/v1/profiles/{profile_id}/consents"): "read",
    ("PUT", "/v1/profiles/{profile_id}/consents"): "privacy",
    ("GET", "/v1/touchpoints/{touchpoint_id}"): "read",
    ("GET", "/v1/touchpoint-counters/{source}"): "read",
    ("POST", "/v1/link-suggestions:run"): "edit",
    ("GET", "/v1/link-suggestions:run"): "read",
    ("GET", "/v1/link-suggestions:precision"): "read",
    ("GET", "/v1/link-suggestions"): "read",
    ("POST", "/v1/link-suggestions/{suggestion_id}:accept"): "edit",
    ("POST", "/v1/link-suggestions/{suggestion_id}:reject"): "edit",
    **ACCESS_ROUTES,
}


def url_of(path: str) -> str:
    nil = str(UUID(int=0))
    return path.format(
        type="email",
        value="x@y.z",
        profile_id=nil,
        touchpoint_id=nil,
        source="a/b",
        suggestion_id=nil,
        token_id="0" * 16,
    )


def test_the_table_names_every_route(app: FastAPI) -> None:
    assert sorted(served(app)) == sorted(ROUTES)


@pytest.mark.parametrize(("method", "path"), sorted(ROUTES))
async def test_a_route_lets_in_exactly_the_roles_of_the_table(
    app: FastAPI, tokens: dict[Role, str], method: str, path: str
) -> None:
    demanded = ROUTES[method, path]
    expected = {role for role, may in MAY.items() if demanded in may}
    assert await who_may_call(app, tokens, method, url_of(path)) == expected


@pytest.mark.parametrize(("method", "path"), sorted(ROUTES))
async def test_no_route_answers_without_a_token(app: FastAPI, method: str, path: str) -> None:
    async with calling(app, None) as client:
        answer = await client.request(method, url_of(path))
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
