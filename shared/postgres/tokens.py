"""Stores tokens by the hash of their secret, and makes the two that a deployment starts with.

The secret itself passes through here only when it is read from its file; it is never stored.
"""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.access import Role, Token, parse_token
from shared.errors import Misconfigured
from shared.settings import read_secret_file

MIGRATION = "migrate"
"""Who made the tokens that a deployment starts with."""


class StoredToken(NamedTuple):
    """A row of `api_token` as people may see it."""

    id: str
    name: str
    roles: list[str]
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    revoked_at: datetime | None


class Credential(NamedTuple):
    """What is needed to judge a call."""

    id: str
    name: str
    roles: frozenset[str]
    secret_sha256: bytes
    expires_at: datetime | None


INSERT = text("""
INSERT INTO api_token (id, name, roles, secret_sha256, created_by, expires_at)
VALUES (:id, :name, :roles, :secret_sha256, :created_by, :expires_at)
ON CONFLICT (id) DO NOTHING
RETURNING id, name, roles, created_at, created_by, expires_at, revoked_at
""")

CREDENTIAL = text("""
SELECT id, name, roles, secret_sha256, expires_at FROM api_token
WHERE id = :id AND revoked_at IS NULL
""")

ONE = text("""
SELECT id, name, roles, created_at, created_by, expires_at, revoked_at
FROM api_token WHERE id = :id
""")

LIST = text("""
SELECT id, name, roles, created_at, created_by, expires_at, revoked_at FROM api_token
WHERE (CAST(:after_at AS timestamptz) IS NULL OR (created_at, id) > (:after_at, :after_id))
ORDER BY created_at, id LIMIT :limit
""")

REVOKE = text("""
UPDATE api_token SET revoked_at = now() WHERE id = :id AND revoked_at IS NULL
RETURNING id, name, roles, created_at, created_by, expires_at, revoked_at
""")

STORED_HASH = text("SELECT secret_sha256, roles, revoked_at FROM api_token WHERE id = :id")


async def insert(
    connection: AsyncConnection,
    token: Token,
    *,
    name: str,
    roles: Sequence[str],
    created_by: str,
    expires_at: datetime | None = None,
) -> StoredToken | None:
    """Store a token; None when its id is taken."""
    values = {
        "id": token.id,
        "name": name,
        "roles": list(roles),
        "secret_sha256": token.secret_sha256,
        "created_by": created_by,
        "expires_at": expires_at,
    }
    row = (await connection.execute(INSERT, values)).one_or_none()
    return None if row is None else StoredToken(*row)


async def credential(connection: AsyncConnection, token_id: str) -> Credential | None:
    """What is known of a token that was not revoked."""
    row = (await connection.execute(CREDENTIAL, {"id": token_id})).one_or_none()
    if row is None:
        return None
    return Credential(row.id, row.name, frozenset(row.roles), row.secret_sha256, row.expires_at)


async def page(
    connection: AsyncConnection, *, after: tuple[datetime, str] | None, limit: int
) -> Sequence[StoredToken]:
    """Tokens in the order of creation, revoked ones too, after (created_at, id)."""
    after_at, after_id = after if after is not None else (None, None)
    rows = await connection.execute(
        LIST, {"after_at": after_at, "after_id": after_id, "limit": limit}
    )
    return [StoredToken(*row) for row in rows]


async def revoke(connection: AsyncConnection, token_id: str) -> StoredToken | None:
    """End a token; None when there is none, or when it was ended before."""
    row = (await connection.execute(REVOKE, {"id": token_id})).one_or_none()
    return None if row is None else StoredToken(*row)


async def ensure_admin_token(connection: AsyncConnection, token_file: Path) -> None:
    """Make the token in `token_file` an administrator's, unless it is one already.

    Raises Misconfigured when the file holds no token, or one that was revoked.
    """
    await _ensure(connection, token_file, "first administrator", Role.ADMIN)


async def ensure_service_token(connection: AsyncConnection, token_file: Path) -> None:
    """Make the token in `token_file` the one that Concert's services show each other.

    Raises Misconfigured when the file holds no token, or one that was revoked.
    """
    await _ensure(connection, token_file, "services", Role.SERVICE)


async def _ensure(connection: AsyncConnection, token_file: Path, name: str, role: Role) -> None:
    token = parse_token(read_secret_file(token_file))
    if token is None:
        raise Misconfigured([f"{token_file}: not a token (cst_<id>_<secret>)"])
    made = await insert(connection, token, name=name, roles=[role], created_by=MIGRATION)
    if made is not None:
        return
    stored = (await connection.execute(STORED_HASH, {"id": token.id})).one()
    if stored.revoked_at is not None:
        raise Misconfigured([f"{token_file}: this token was revoked; put a new one there"])
    if stored.secret_sha256 != token.secret_sha256 or role not in stored.roles:
        raise Misconfigured([f"{token_file}: token {token.id} is stored with another secret"])
