"""Tokens and the audit log on a real PostgreSQL: hashed, shown once, revoked, append-only."""

import asyncio
import base64
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import MetaData, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from shared import clock
from shared.access import Role, Token, new_token
from shared.errors import Misconfigured, Unauthenticated
from shared.http.app import create_app
from shared.http.auth import CACHE_SECONDS, Access
from shared.observability.health import Health
from shared.postgres import audit, tokens
from shared.postgres.access_tables import access_tables
from shared.postgres.audit import Who
from shared.postgres.engine import create_engine
from tests.support.postgres import Database


@pytest.fixture
async def engine(bare_database: Database) -> AsyncIterator[AsyncEngine]:
    """The profile service's schema with nothing but the tables of access."""
    made = create_engine(bare_database.profile, schema="profile", application="test")
    metadata = MetaData()
    access_tables(metadata)
    async with made.begin() as connection:
        await connection.run_sync(metadata.create_all)
    yield made
    await made.dispose()


@pytest.fixture
async def admin(engine: AsyncEngine, tmp_path: Path) -> Token:
    """The token that a deployment starts with."""
    token = new_token()
    (tmp_path / "admin-token").write_text(token.text + "\n")
    async with engine.begin() as connection:
        await tokens.ensure_admin_token(connection, tmp_path / "admin-token")
    return token


@pytest.fixture
def app(engine: AsyncEngine) -> FastAPI:
    health = Health("profile.api", {})
    return create_app(title="Test", version="1", health=health, engine=engine, routers=[])


@pytest.fixture
async def client(app: FastAPI, admin: Token) -> AsyncIterator[httpx.AsyncClient]:
    """Calls as the administrator unless a header says otherwise."""
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(
        transport=transport, base_url="http://concert", headers=bearer(admin.text)
    ) as made:
        yield made


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def make(client: httpx.AsyncClient, *roles: str, **more: Any) -> Mapping[str, Any]:
    answer = await client.post("/v1/tokens", json={"name": "Bo", "roles": roles, **more})
    assert answer.status_code == 201, answer.text
    made: Mapping[str, Any] = answer.json()
    return made


async def test_a_new_token_works_and_only_its_hash_is_stored(
    client: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    made = await make(client, "ops", "viewer")
    assert (await client.get("/v1/tokens", headers=bearer(made["token"]))).status_code == 200
    secret = made["token"].split("_", 2)[2]
    async with engine.connect() as connection:
        for table in ("api_token", "audit_log"):
            rows = await connection.execute(text(f"SELECT t::text FROM {table} t"))
            stored = "\n".join(row[0] for row in rows)
            assert made["id"] in stored
            assert secret not in stored


async def test_the_secret_is_shown_once(client: httpx.AsyncClient) -> None:
    made = await make(client, "editor")
    listed = await client.get("/v1/tokens")
    assert "secret" not in listed.text
    assert made["token"] not in listed.text
    assert [item["name"] for item in listed.json()["items"]] == ["first administrator", "Bo"]
    assert {"token", "secret_sha256"}.isdisjoint(listed.json()["items"][1])


async def test_tokens_come_in_pages(client: httpx.AsyncClient) -> None:
    ids = [(await make(client, "viewer"))["id"] for _ in range(4)]
    seen: list[str] = []
    cursor: str | None = None
    while True:
        params = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = (await client.get("/v1/tokens", params=params)).json()
        seen += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen[1:] == ids


@pytest.mark.parametrize("role", [role for role in Role if role not in (Role.ADMIN, Role.SERVICE)])
async def test_nobody_but_an_administrator_makes_or_revokes_tokens(
    client: httpx.AsyncClient, role: Role
) -> None:
    made = await make(client, role)
    headers = bearer(made["token"])
    create = await client.post(
        "/v1/tokens", json={"name": "x", "roles": ["admin"]}, headers=headers
    )
    assert create.status_code == 403
    assert "admin" in create.json()["detail"]
    assert (await client.delete(f"/v1/tokens/{made['id']}", headers=headers)).status_code == 403
    read = await client.get("/v1/tokens", headers=headers)
    assert read.status_code == (200 if role is Role.OPS else 403)


async def test_a_revoked_token_is_dead_at_once_here_and_within_five_seconds_elsewhere(
    client: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    made = await make(client, "viewer")
    headers = bearer(made["token"])
    elsewhere = Access(engine, cache_seconds=0.2)
    assert CACHE_SECONDS <= 5
    assert (await elsewhere.principal(made["token"])).name == "Bo"
    assert (await client.get("/v1/audit", headers=headers)).status_code == 200
    assert (await client.delete(f"/v1/tokens/{made['id']}")).status_code == 204
    assert (await client.get("/v1/audit", headers=headers)).status_code == 401
    await asyncio.sleep(0.25)
    with pytest.raises(Unauthenticated):
        await elsewhere.principal(made["token"])
    assert (await client.delete(f"/v1/tokens/{made['id']}")).status_code == 404


async def test_what_was_read_of_a_token_is_kept_so_that_not_every_call_asks_the_database(
    engine: AsyncEngine, admin: Token
) -> None:
    access = Access(engine)
    await access.principal(admin.text)
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE api_token SET revoked_at = now()"))
    assert (await access.principal(admin.text)).roles == {"admin"}
    access.forget(admin.id)
    with pytest.raises(Unauthenticated):
        await access.principal(admin.text)


async def test_a_token_cannot_revoke_itself(client: httpx.AsyncClient, admin: Token) -> None:
    assert (await client.delete(f"/v1/tokens/{admin.id}")).status_code == 409
    assert (await client.get("/v1/tokens")).status_code == 200


async def test_a_token_ends_when_it_expires(client: httpx.AsyncClient) -> None:
    soon = clock.now() + timedelta(seconds=0.3)
    made = await make(client, "viewer", expires_at=soon.isoformat())
    headers = bearer(made["token"])
    assert (await client.get("/v1/audit", headers=headers)).status_code == 200
    await asyncio.sleep(0.4)
    assert (await client.get("/v1/audit", headers=headers)).status_code == 401


@pytest.mark.parametrize(
    ("body", "path", "rule"),
    [
        ({"name": "x", "roles": []}, "roles", "too_short"),
        ({"name": "x", "roles": ["root"]}, "roles[0]", "literal_error"),
        ({"name": "x", "roles": ["service"]}, "roles[0]", "literal_error"),
        ({"name": "", "roles": ["viewer"]}, "name", "string_too_short"),
        ({"name": "x", "roles": ["viewer"], "id": "mine"}, "id", "extra_forbidden"),
        (
            {"name": "x", "roles": ["viewer"], "expires_at": "2001-01-01T00:00:00Z"},
            "expires_at",
            "in_the_future",
        ),
    ],
)
async def test_a_wrong_request_is_told_what_is_wrong(
    client: httpx.AsyncClient, body: dict[str, Any], path: str, rule: str
) -> None:
    answer = await client.post("/v1/tokens", json=body)
    assert answer.status_code == 422
    assert [(e["path"], e["rule"]) for e in answer.json()["errors"]] == [(path, rule)]


async def test_unknown_tokens_and_wrong_secrets_get_the_same_answer(
    client: httpx.AsyncClient, admin: Token
) -> None:
    wrong = Token(admin.id, new_token().secret)
    answers = [
        await client.get("/v1/tokens", headers=bearer(text))
        for text in (wrong.text, new_token().text, "nonsense")
    ]
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.json()["detail"] for answer in answers}) == 1


async def test_every_write_is_in_the_audit_log_with_before_and_after(
    client: httpx.AsyncClient, admin: Token
) -> None:
    made = await make(client, "editor")
    await client.delete(f"/v1/tokens/{made['id']}")
    answer = await client.get("/v1/audit", params={"kind": "token", "key": made["id"]})
    revoked, created = answer.json()["items"]
    assert (created["action"], created["before"]) == ("create", None)
    assert created["after"]["roles"] == ["editor"]
    assert (created["who"], created["who_name"]) == (admin.id, "first administrator")
    assert revoked["action"] == "revoke"
    assert revoked["before"]["revoked_at"] is None
    assert revoked["after"]["revoked_at"] is not None


async def test_the_audit_log_comes_in_pages_the_newest_first(
    client: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    async with engine.begin() as connection:
        for number in range(5):
            await audit.append(
                connection,
                who=Who("a", "Ada"),
                kind="rule",
                key="welcome",
                action="save",
                after={"version": number},
            )
    first = (await client.get("/v1/audit", params={"kind": "rule", "limit": 3})).json()
    assert [item["after"]["version"] for item in first["items"]] == [4, 3, 2]
    cursor = first["next_cursor"]
    rest = await client.get("/v1/audit", params={"kind": "rule", "limit": 3, "cursor": cursor})
    assert [item["after"]["version"] for item in rest.json()["items"]] == [1, 0]
    assert rest.json()["next_cursor"] is None
    assert (await client.get("/v1/audit", params={"key": "other"})).json()["items"] == []


async def test_a_forged_cursor_is_the_caller_s_mistake(client: httpx.AsyncClient) -> None:
    for path, part in (("audit", "9223372036854775808"), ("tokens", '"2026-01-01T00:00:00","a"')):
        cursor = base64.urlsafe_b64encode(f"[{part}]".encode()).decode()
        answer = await client.get(f"/v1/{path}", params={"cursor": cursor})
        assert answer.status_code == 400, path


async def test_an_audit_entry_lives_and_dies_with_its_transaction(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        await audit.append(connection, who=Who("a", "Ada"), kind="rule", key="k", action="save")
        await connection.rollback()
        count = await connection.scalar(text("SELECT count(*) FROM audit_log"))
    assert count == 0


@pytest.mark.parametrize(
    "statement", ["UPDATE audit_log SET who = 'x'", "DELETE FROM audit_log", "TRUNCATE audit_log"]
)
async def test_the_audit_log_is_append_only(engine: AsyncEngine, statement: str) -> None:
    with pytest.raises(DBAPIError, match="append-only"):
        async with engine.begin() as connection:
            await connection.execute(text(statement))


async def test_the_first_tokens_are_made_once_and_only_their_hash_is_stored(
    engine: AsyncEngine, tmp_path: Path
) -> None:
    file, token = tmp_path / "service-token", new_token()
    file.write_text(token.text)
    for _ in range(2):
        async with engine.begin() as connection:
            await tokens.ensure_service_token(connection, file)
    access = Access(engine)
    assert (await access.principal(token.text)).roles == {"service"}
    async with engine.connect() as connection:
        rows = (await connection.execute(text("SELECT t::text FROM api_token t"))).all()
    assert len(rows) == 1
    assert token.secret not in rows[0][0]


async def test_a_first_token_that_cannot_work_stops_the_migration(
    engine: AsyncEngine, tmp_path: Path, admin: Token
) -> None:
    file = tmp_path / "token"
    for content, reason in (
        ("changeme", "not a token"),
        (Token(admin.id, new_token().secret).text, "another secret"),
    ):
        file.write_text(content)
        with pytest.raises(Misconfigured, match=reason):
            async with engine.begin() as connection:
                await tokens.ensure_admin_token(connection, file)
    async with engine.begin() as connection:
        await tokens.revoke(connection, admin.id)
    file.write_text(admin.text)
    with pytest.raises(Misconfigured, match="revoked"):
        async with engine.begin() as connection:
            await tokens.ensure_admin_token(connection, file)


async def test_without_a_database_the_answer_is_try_again(app: FastAPI, admin: Token) -> None:
    away = create_async_engine("postgresql+asyncpg://nobody@127.0.0.1:1/none")
    app.state.access = Access(away)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://concert"
    ) as client:
        answer = await client.get("/v1/tokens", headers=bearer(admin.text))
    await away.dispose()
    assert answer.status_code == 503
    assert answer.json()["detail"] == "postgres does not answer; try again."
