"""Calls an API in the process, with a token of any role, and knows who may call what."""

import base64
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import httpx
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.access import Role, new_token
from shared.postgres import tokens

MAY: Mapping[Role, frozenset[str]] = {
    Role.VIEWER: frozenset({"read", "read tasks"}),
    Role.EDITOR: frozenset({"read", "read tasks", "edit"}),
    Role.PUBLISHER: frozenset({"read", "read tasks", "edit", "publish"}),
    Role.OPS: frozenset({"read", "read tasks", "serve", "operate", "read tokens"}),
    Role.PRIVACY: frozenset({"read", "read tasks", "privacy", "make links"}),
    Role.CHANNEL: frozenset({"read tasks", "serve"}),
    Role.ADMIN: frozenset(
        {
            *("read", "edit", "publish", "register", "operate", "privacy"),
            *("read tokens", "administer", "erase", "read tasks", "serve", "make links"),
        }
    ),
    Role.SERVICE: frozenset(
        {"read", "read tasks", "read snapshots", "register", "erase", "make links"}
    ),
}
"""What each role may do, written down once more so that a slip in the product is seen."""

ACCESS_ROUTES: Mapping[tuple[str, str], str] = {
    ("POST", "/v1/tokens"): "administer",
    ("GET", "/v1/tokens"): "read tokens",
    ("DELETE", "/v1/tokens/{token_id}"): "administer",
    ("GET", "/v1/audit"): "read",
}
"""The routes that every API has, and what each demands."""


async def token_for_each_role(engine: AsyncEngine) -> dict[Role, str]:
    """A new token of each role, stored; the name of a token is the role's."""
    made: dict[Role, str] = {}
    async with engine.begin() as connection:
        for role in Role:
            token = new_token()
            await tokens.insert(connection, token, name=role, roles=[role], created_by="test")
            made[role] = token.text
    return made


@asynccontextmanager
async def calling(app: FastAPI, token: str | None) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the application that shows the token."""
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(
        transport=transport, base_url="http://concert", headers=headers
    ) as client:
        yield client


def served(app: FastAPI) -> list[tuple[str, str]]:
    """(method, path) of every route but the probes."""
    return [
        (method.upper(), path)
        for path, methods in app.openapi()["paths"].items()
        for method in methods
    ]


async def who_may_call(
    app: FastAPI, tokens_by_role: Mapping[Role, str], method: str, url: str
) -> set[Role]:
    """The roles for which a call without a body is not forbidden; none may be unknown."""
    allowed: set[Role] = set()
    for role, token in tokens_by_role.items():
        async with calling(app, token) as client:
            answer = await client.request(method, url)
        assert answer.status_code != 401, (role, method, url)
        if answer.status_code != 403:
            allowed.add(role)
    return allowed


def crafted_cursors() -> list[str]:
    """Cursors in the form of ours that no list ever gave out."""
    values: tuple[object, ...] = (
        [],
        [1, 2, 3],
        ["x"],
        [-1],
        [2**63],
        ["2026-11-21T10:00:00", "x"],
        {"a": 1},
        7,
    )
    return [base64.urlsafe_b64encode(json.dumps(value).encode()).decode() for value in values]
