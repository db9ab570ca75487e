"""Every route x every role against a table that a person can read."""

from uuid import UUID

import pytest
from fastapi import FastAPI

from shared.access import Role
from tests.support.api import ACCESS_ROUTES, MAY, calling, served, who_may_call

SEGMENT = "/v1/spaces/{space}/collections/{collection}/profiles/{external_id}"
ROUTES: dict[tuple[str, str], str] = {
    ("GET", "/v1/profiles"): "read",
    ("GET", "/v1/profiles:search"): "read",
    ("POST", "/v1/profiles:batch-get"): "read",
    ("GET", "/v1/profiles/by/{type}/{value}"): "read",
    ("GET", "/v1/snapshots/{type}/{value}"): "read snapshots",
    ("GET", "/v1/profiles/{profile_id}"): "read",
    ("GET", "/v1/profiles/{profile_id}/identifiers"): "read",
    ("GET", "/v1/profiles/{profile_id}/segments"): "read",
    ("GET", "/v1/profiles/{profile_id}/timeline"): "read",
    ("GET", "/v1/profiles/{profile_id}/merges"): "read",
    ("GET", "/v1/profiles/{profile_id}/consents"): "read",
    ("PUT", "/v1/profiles/{profile_id}/consents"): "privacy",
    ("GET", "/v1/profiles/{profile_id}/consents/history"): "read",
    ("POST", "/v1/profiles/{profile_id}/preference-link"): "make links",
    ("POST", "/v1/profiles/{profile_id}/consents:confirmation-link"): "make links",
    **{
        (method, f"/v1/{kind}{path}"): demanded
        for kind in ("consent-purposes", "opt-out-rules")
        for method, path, demanded in (
            ("GET", "", "read"),
            ("GET", "/{key}", "read"),
            ("GET", "/{key}/versions", "read"),
            ("GET", "/{key}/versions/{number}", "read"),
            ("PUT", "/{key}", "edit"),
            ("POST", "/{key}:validate", "read"),
            ("POST", "/{key}:publish", "publish"),
            ("POST", "/{key}:archive", "publish"),
        )
    },
    ("GET", "/v1/opt-out-rules:built-in"): "read",
    ("GET", "/v1/touchpoints/{touchpoint_id}"): "read",
    ("GET", "/v1/touchpoint-counters/{source}"): "read",
    ("GET", "/v1/audience-events"): "read",
    ("GET", "/v1/audience-events/{touchpoint_id}"): "read",
    ("POST", "/v1/audience-events/{touchpoint_id}:cancel"): "edit",
    ("GET", "/v1/leaves"): "read",
    ("POST", "/v1/leaves"): "register",
    ("POST", "/v1/segments:preview"): "read",
    ("GET", "/v1/segments/{key}/members"): "read",
    ("GET", "/v1/personas:distribution"): "read",
    ("GET", "/v1/traits:catalogue"): "read",
    **{
        (method, f"/v1/{kind}{path}"): demanded
        for kind in ("segments", "personas", "traits")
        for method, path, demanded in (
            ("GET", "", "read"),
            ("GET", "/{key}", "read"),
            ("GET", "/{key}/versions", "read"),
            ("GET", "/{key}/versions/{number}", "read"),
            ("GET", "/{key}/backfill", "read"),
            ("PUT", "/{key}", "edit"),
            ("POST", "/{key}:validate", "read"),
            ("POST", "/{key}:publish", "publish"),
            ("POST", "/{key}:archive", "publish"),
        )
    },
    ("GET", "/v1/events/{event_id}/identity"): "read",
    ("POST", "/v1/profiles:merge"): "privacy",
    ("POST", "/v1/profiles/{profile_id}:split"): "privacy",
    ("POST", "/v1/merges/{merge_id}:undo"): "privacy",
    ("GET", "/v1/cannot-links"): "read",
    ("POST", "/v1/cannot-links"): "privacy",
    ("DELETE", "/v1/cannot-links/{link_id}"): "privacy",
    ("GET", "/v1/identity-rules"): "read",
    ("GET", "/v1/identity-rules:in-force"): "read",
    ("GET", "/v1/identity-rules/{key}"): "read",
    ("GET", "/v1/identity-rules/{key}/versions"): "read",
    ("PUT", "/v1/identity-rules/{key}"): "edit",
    ("POST", "/v1/identity-rules/{key}:validate"): "read",
    ("POST", "/v1/identity-rules/{key}:publish"): "publish",
    ("POST", "/v1/link-suggestions:run"): "edit",
    ("GET", "/v1/link-suggestions:run"): "read",
    ("GET", "/v1/link-suggestions:precision"): "read",
    ("GET", "/v1/link-suggestions"): "read",
    ("POST", "/v1/link-suggestions/{suggestion_id}:accept"): "privacy",
    ("POST", "/v1/link-suggestions/{suggestion_id}:reject"): "privacy",
    ("GET", "/v1/exports"): "privacy",
    ("POST", "/v1/exports"): "privacy",
    ("GET", "/v1/exports/{export_id}"): "privacy",
    ("GET", "/v1/exports/{export_id}/content"): "privacy",
    ("DELETE", "/v1/exports/{export_id}"): "privacy",
    **{
        ("GET", f"{SEGMENT}/{part}"): "read"
        for part in ("traits", "external_ids", "events", "metadata")
    },
    ("POST", "/v1/privacy-requests"): "privacy",
    ("GET", "/v1/privacy-requests"): "privacy",
    ("GET", "/v1/privacy-requests/{request_id}"): "privacy",
    ("GET", "/v1/privacy-requests/{request_id}/document"): "privacy",
    ("GET", "/v1/profiles/{profile_id}/groups"): "read",
    **{
        (method, f"/v1/{kind}{path}"): demanded
        for kind in ("households", "accounts")
        for method, path, demanded in (
            ("POST", "", "privacy"),
            ("GET", "/by/{type}/{value}", "read"),
            ("GET", "/{group_id}", "read"),
            ("GET", "/{group_id}/members", "read"),
            ("PUT", "/{group_id}/members/{profile_id}", "privacy"),
            ("DELETE", "/{group_id}/members/{profile_id}", "privacy"),
        )
    },
    ("PUT", "/v1/lists/{key}"): "publish",
    ("GET", "/v1/lists/{key}"): "read",
    ("GET", "/v1/lists/{key}/members"): "read",
    ("POST", "/v1/lists/{key}/members"): "edit",
    ("POST", "/v1/lists/{key}/uploads"): "edit",
    ("GET", "/v1/lists/{key}/uploads/{upload_id}"): "read",
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
        number=1,
        suggestion_id=nil,
        token_id="0" * 16,
        event_id=nil,
        merge_id=nil,
        link_id=nil,
        export_id=nil,
        request_id=nil,
        group_id=nil,
        upload_id=nil,
        key="default",
        space="s",
        collection="users",
        external_id="email:x@y.z",
    )


LINKS = {
    (method, path)
    for path in ("/preferences/{token}", "/consent-confirmations/{token}")
    for method in ("GET", "POST")
}
"""Routes without a login: the signed link in them is the authority."""


def test_the_table_names_every_route(app: FastAPI) -> None:
    assert sorted(served(app)) == sorted({*ROUTES, *LINKS})


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
    expected = "application/json" if path.startswith(SEGMENT) else "application/problem+json"
    assert answer.headers["content-type"] == expected
