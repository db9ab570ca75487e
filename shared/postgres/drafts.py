"""Configuration as it is edited and published.

A draft is edited freely; publishing copies it into an immutable version, and at most one version
of a key is live. Every kind has the same two tables (`rule` and `rule_version`, and the same for
the others), so the statements are written once. A kind is the name of its first table: a word of
the program, never of a caller. Nothing here may look into a body.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any

import orjson
from sqlalchemy import Row, TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.errors import NotFound

Body = dict[str, Any]


class Status(StrEnum):
    """`draft`: never published. `live`: works. `paused`: may work again. `archived`: over."""

    DRAFT = "draft"
    LIVE = "live"
    PAUSED = "paused"
    ARCHIVED = "archived"


@dataclass(frozen=True, slots=True)
class Draft:
    """One key: what is being edited (`draft_version` counts the edits) and what is live."""

    key: str
    body: Body
    draft_version: int
    status: Status
    live_version: int | None
    created_at: datetime
    updated_at: datetime
    updated_by: str


@dataclass(frozen=True, slots=True)
class Version:
    """One publication; it never changes."""

    key: str
    version: int
    body: Body
    published_at: datetime
    published_by: str


_DRAFT = """key, draft::text AS draft, draft_version, status, live_version, created_at, updated_at,
            updated_by"""
_VERSION = "key, version, body::text AS body, published_at, published_by"


@lru_cache
def _statement(sql: str, kind: str) -> TextClause:
    """The statement for a kind; its placeholders stand for tables and columns, never values."""
    return text(sql.format(kind=kind, draft=_DRAFT, published=_VERSION))


_KNOWN = "SELECT key FROM {kind} WHERE key = ANY(CAST(:keys AS text[]))"
_FIND = "SELECT {draft} FROM {kind} WHERE key = :key"
_LOCK = "SELECT {draft} FROM {kind} WHERE key = :key FOR UPDATE"
_PAGE = "SELECT {draft} FROM {kind} WHERE key > :after ORDER BY key LIMIT :limit"
_INSERT = """
    INSERT INTO {kind} (key, draft, draft_version, status, created_at, updated_at, updated_by)
    VALUES (:key, CAST(:body AS jsonb), 1, 'draft', :at, :at, :by)
    ON CONFLICT (key) DO NOTHING
    RETURNING {draft}
    """
_UPDATE = """
    UPDATE {kind}
       SET draft = CAST(:body AS jsonb), draft_version = draft_version + 1,
           updated_at = :at, updated_by = :by
     WHERE key = :key
    RETURNING {draft}
    """
_INSERT_VERSION = """
    INSERT INTO {kind}_version (key, version, body, published_at, published_by)
    SELECT key, 1 + COALESCE((SELECT max(version) FROM {kind}_version WHERE key = :key), 0),
           COALESCE(CAST(:body AS jsonb), draft), :at, :by
      FROM {kind} WHERE key = :key
    RETURNING {published}
    """
_SET_STATUS = """
    UPDATE {kind}
       SET status = :status, live_version = COALESCE(CAST(:version AS integer), live_version),
           updated_at = :at, updated_by = :by
     WHERE key = :key
    RETURNING {draft}
    """
_VERSIONS = """
    SELECT {published} FROM {kind}_version
     WHERE key = :key AND version < :before ORDER BY version DESC LIMIT :limit
    """
_ONE_VERSION = "SELECT {published} FROM {kind}_version WHERE key = :key AND version = :version"
_LIVE = """
    SELECT {published} FROM {kind} JOIN {kind}_version USING (key)
     WHERE status = 'live' AND version = live_version ORDER BY key
    """


def there(draft: Draft | None, named: str, key: str) -> Draft:
    """The draft. Raises NotFound when there is none."""
    if draft is None:
        raise NotFound(f"There is no {named} {key}.")
    return draft


async def find(tx: AsyncConnection, kind: str, key: str) -> Draft | None:
    """The draft of `key`, without a lock."""
    row = (await tx.execute(_statement(_FIND, kind), {"key": key})).one_or_none()
    return None if row is None else _draft(row)


async def known(tx: AsyncConnection, kind: str, keys: set[str]) -> set[str]:
    """Which of `keys` there are."""
    if not keys:
        return set()
    return set((await tx.execute(_statement(_KNOWN, kind), {"keys": sorted(keys)})).scalars())


async def lock(tx: AsyncConnection, kind: str, key: str) -> Draft | None:
    """The draft of `key`; nobody else can change it until the transaction ends."""
    row = (await tx.execute(_statement(_LOCK, kind), {"key": key})).one_or_none()
    return None if row is None else _draft(row)


async def page(tx: AsyncConnection, kind: str, *, after: str, limit: int) -> list[Draft]:
    """At most `limit` drafts whose key sorts behind `after`, by key."""
    return [
        _draft(row)
        for row in await tx.execute(_statement(_PAGE, kind), {"after": after, "limit": limit})
    ]


async def insert(
    tx: AsyncConnection, kind: str, key: str, body: Body, *, at: datetime, by: str
) -> Draft | None:
    """The first draft of `key`; None when there is one already."""
    values = {"key": key, "body": _json(body), "at": at, "by": by}
    row = (await tx.execute(_statement(_INSERT, kind), values)).one_or_none()
    return None if row is None else _draft(row)


async def update(
    tx: AsyncConnection, kind: str, key: str, body: Body, *, at: datetime, by: str
) -> Draft:
    """Replace the draft of `key`, which has to be locked; what is live stays as it is."""
    values = {"key": key, "body": _json(body), "at": at, "by": by}
    return _draft((await tx.execute(_statement(_UPDATE, kind), values)).one())


async def insert_version(
    tx: AsyncConnection, kind: str, key: str, *, at: datetime, by: str, body: Body | None = None
) -> Version:
    """Copy the draft of `key`, which has to be locked, into its next version; or `body`, if there
    is one: then the draft stays what it is."""
    values = {"key": key, "at": at, "by": by, "body": None if body is None else _json(body)}
    return _version((await tx.execute(_statement(_INSERT_VERSION, kind), values)).one())


async def set_status(
    tx: AsyncConnection,
    kind: str,
    key: str,
    status: Status,
    *,
    version: int | None = None,
    at: datetime,
    by: str,
) -> Draft:
    """Change the status of `key`, which has to be locked; `version` becomes the live one."""
    values = {"key": key, "status": status.value, "version": version, "at": at, "by": by}
    return _draft((await tx.execute(_statement(_SET_STATUS, kind), values)).one())


async def version(tx: AsyncConnection, kind: str, key: str, number: int | None) -> Version | None:
    """One version of `key`; None when there is none of that number."""
    row = (
        await tx.execute(_statement(_ONE_VERSION, kind), {"key": key, "version": number})
    ).one_or_none()
    return None if row is None else _version(row)


async def versions(
    tx: AsyncConnection, kind: str, key: str, *, before: int, limit: int
) -> list[Version]:
    """At most `limit` versions of `key` with a number below `before`, newest first."""
    values = {"key": key, "before": before, "limit": limit}
    return [_version(row) for row in await tx.execute(_statement(_VERSIONS, kind), values)]


async def live(tx: AsyncConnection, kind: str) -> list[Version]:
    """The live version of every key whose status is `live`, by key."""
    return [_version(row) for row in await tx.execute(_statement(_LIVE, kind))]


def _json(body: Body) -> str:
    return orjson.dumps(body).decode()


def _draft(row: Row[Any]) -> Draft:
    return Draft(
        key=row.key,
        body=orjson.loads(row.draft),
        draft_version=row.draft_version,
        status=Status(row.status),
        live_version=row.live_version,
        created_at=row.created_at,
        updated_at=row.updated_at,
        updated_by=row.updated_by,
    )


def _version(row: Row[Any]) -> Version:
    return Version(
        key=row.key,
        version=row.version,
        body=orjson.loads(row.body),
        published_at=row.published_at,
        published_by=row.published_by,
    )
