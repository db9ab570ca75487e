"""Templates, channels and resources: live as soon as they are saved, and every save is a version.

Every kind has the same two tables (`template`, `template_version`, and the same for the others).
Nothing here may look into a body.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import orjson
from sqlalchemy import Row, TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

Body = dict[str, Any]


class Kind(StrEnum):
    """What is live on saving; the value is the name of its table."""

    TEMPLATE = "template"
    CHANNEL = "channel"
    RESOURCE = "resource"


@dataclass(frozen=True, slots=True)
class Saved:
    """One version of one key; the present one unless it comes from `versions`."""

    key: str
    body: Body
    version: int
    saved_at: datetime
    saved_by: str


_PRESENT = "key, body::text AS body, version, updated_at AS saved_at, updated_by AS saved_by"


def _statements(sql: str) -> Mapping[Kind, TextClause]:
    """The statement for each kind; its placeholders stand for tables and columns, never values."""
    return {kind: text(sql.format(kind=kind.value, present=_PRESENT)) for kind in Kind}


_FIND = _statements("SELECT {present} FROM {kind} WHERE key = :key")
_LOCK = _statements("SELECT {present} FROM {kind} WHERE key = :key FOR UPDATE")
_PAGE = _statements("SELECT {present} FROM {kind} WHERE key > :after ORDER BY key LIMIT :limit")
_ALL = _statements("SELECT {present} FROM {kind} ORDER BY key")
_KNOWN = _statements("SELECT key FROM {kind} WHERE key = ANY(CAST(:keys AS text[]))")
_INSERT = _statements(
    """
    INSERT INTO {kind} (key, body, version, created_at, updated_at, updated_by)
    VALUES (:key, CAST(:body AS jsonb), 1, :at, :at, :by)
    ON CONFLICT (key) DO NOTHING
    RETURNING {present}
    """
)
_UPDATE = _statements(
    """
    UPDATE {kind}
       SET body = CAST(:body AS jsonb), version = version + 1, updated_at = :at, updated_by = :by
     WHERE key = :key
    RETURNING {present}
    """
)
_KEEP = _statements(
    """
    INSERT INTO {kind}_version (key, version, body, saved_at, saved_by)
    SELECT key, version, body, updated_at, updated_by FROM {kind} WHERE key = :key
    """
)
_VERSION = _statements(
    """
    SELECT key, body::text AS body, version, saved_at, saved_by FROM {kind}_version
     WHERE key = :key AND version = :number
    """
)
_VERSIONS = _statements(
    """
    SELECT key, body::text AS body, version, saved_at, saved_by FROM {kind}_version
     WHERE key = :key AND version < :before ORDER BY version DESC LIMIT :limit
    """
)


async def find(tx: AsyncConnection, kind: Kind, key: str) -> Saved | None:
    """The present version of `key`, without a lock."""
    row = (await tx.execute(_FIND[kind], {"key": key})).one_or_none()
    return None if row is None else _saved(row)


async def lock(tx: AsyncConnection, kind: Kind, key: str) -> Saved | None:
    """The present version of `key`; nobody else can save one until the transaction ends."""
    row = (await tx.execute(_LOCK[kind], {"key": key})).one_or_none()
    return None if row is None else _saved(row)


async def page(tx: AsyncConnection, kind: Kind, *, after: str, limit: int) -> list[Saved]:
    """At most `limit` present versions whose key sorts behind `after`, by key."""
    return [_saved(row) for row in await tx.execute(_PAGE[kind], {"after": after, "limit": limit})]


async def everything(tx: AsyncConnection, kind: Kind) -> list[Saved]:
    """The present version of every key, by key."""
    return [_saved(row) for row in await tx.execute(_ALL[kind])]


async def known(tx: AsyncConnection, kind: Kind, keys: set[str]) -> set[str]:
    """Which of `keys` there are."""
    return set((await tx.execute(_KNOWN[kind], {"keys": sorted(keys)})).scalars())


async def insert(
    tx: AsyncConnection, kind: Kind, key: str, body: Body, *, at: datetime, by: str
) -> Saved | None:
    """Version 1 of `key`; None when there is one already."""
    values = {"key": key, "body": orjson.dumps(body).decode(), "at": at, "by": by}
    row = (await tx.execute(_INSERT[kind], values)).one_or_none()
    if row is None:
        return None
    await tx.execute(_KEEP[kind], {"key": key})
    return _saved(row)


async def update(
    tx: AsyncConnection, kind: Kind, key: str, body: Body, *, at: datetime, by: str
) -> Saved:
    """The next version of `key`, which has to be locked; the earlier ones stay as they are."""
    values = {"key": key, "body": orjson.dumps(body).decode(), "at": at, "by": by}
    row = (await tx.execute(_UPDATE[kind], values)).one()
    await tx.execute(_KEEP[kind], {"key": key})
    return _saved(row)


async def version(tx: AsyncConnection, kind: Kind, key: str, number: int) -> Saved | None:
    """The version of `key` with a number."""
    row = (await tx.execute(_VERSION[kind], {"key": key, "number": number})).one_or_none()
    return None if row is None else _saved(row)


async def versions(
    tx: AsyncConnection, kind: Kind, key: str, *, before: int, limit: int
) -> list[Saved]:
    """At most `limit` versions of `key` with a number below `before`, newest first."""
    values = {"key": key, "before": before, "limit": limit}
    return [_saved(row) for row in await tx.execute(_VERSIONS[kind], values)]


def _saved(row: Row[Any]) -> Saved:
    return Saved(
        key=row.key,
        body=orjson.loads(row.body),
        version=row.version,
        saved_at=row.saved_at,
        saved_by=row.saved_by,
    )
