"""Reads and writes sources and their keys. A key in clear never gets here, only its hash."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from services.ingest.domain.source import Source, Tracking


class StoredSource(NamedTuple):
    """A row of `source`."""

    id: str
    name: str
    channel: str
    offline: bool
    dialect: str
    default_region: str | None
    subject_as: str | None
    trust: int
    timezone: str | None
    device: bool
    max_age_seconds: int | None
    mapping: dict[str, Any] | None
    tracking: Tracking
    events_per_second: int | None
    pii: dict[str, str]
    created_at: datetime
    created_by: str


class StoredKey(NamedTuple):
    """A row of `source_key` as people may see it."""

    id: str
    source_id: str
    prefix: str
    created_at: datetime
    created_by: str
    revoked_at: datetime | None


JSON_PARAMETERS = (
    bindparam("mapping", type_=JSONB(none_as_null=True)),
    bindparam("pii", type_=JSONB),
)
JSON_COLUMNS: dict[str, type[JSONB]] = {"mapping": JSONB, "pii": JSONB}

INSERT = (
    text("""
INSERT INTO source (id, name, channel, offline, dialect, default_region, subject_as, trust,
                    timezone, device, max_age_seconds, mapping, tracking, events_per_second, pii,
                    created_by)
VALUES (:id, :name, :channel, :offline, :dialect, :default_region, :subject_as, :trust, :timezone,
        :device, :max_age_seconds, :mapping, :tracking, :events_per_second, :pii, :created_by)
ON CONFLICT (id) DO NOTHING
RETURNING id, name, channel, offline, dialect, default_region, subject_as, trust,
       timezone, device, max_age_seconds, mapping, tracking, events_per_second, pii,
       created_at, created_by
""")
    .bindparams(*JSON_PARAMETERS)
    .columns(**JSON_COLUMNS)
)

PAGE = text("""
SELECT id, name, channel, offline, dialect, default_region, subject_as, trust,
       timezone, device, max_age_seconds, mapping, tracking, events_per_second, pii,
       created_at, created_by
  FROM source WHERE id > :after ORDER BY id LIMIT :limit
""").columns(**JSON_COLUMNS)

ONE = text("""
SELECT id, name, channel, offline, dialect, default_region, subject_as, trust,
       timezone, device, max_age_seconds, mapping, tracking, events_per_second, pii,
       created_at, created_by
  FROM source WHERE id = :id
""").columns(**JSON_COLUMNS)

ALL = text("""
SELECT id, name, channel, offline, dialect, default_region, subject_as, trust,
       timezone, device, max_age_seconds, mapping, tracking, events_per_second, pii
  FROM source ORDER BY id
""").columns(**JSON_COLUMNS)

INSERT_KEY = text("""
INSERT INTO source_key (id, source_id, prefix, key_sha256, created_by)
VALUES (:id, :source_id, :prefix, :key_sha256, :created_by)
RETURNING id, source_id, prefix, created_at, created_by, revoked_at
""")

KEYS = text("""
SELECT id, source_id, prefix, created_at, created_by, revoked_at
  FROM source_key WHERE source_id = :source_id ORDER BY created_at, id
""")

REVOKE_KEY = text("""
UPDATE source_key SET revoked_at = now()
 WHERE id = :id AND source_id = :source_id AND revoked_at IS NULL
RETURNING id, source_id, prefix, created_at, created_by, revoked_at
""")

LIVE_KEYS = text("SELECT key_sha256, source_id FROM source_key WHERE revoked_at IS NULL")


async def insert(tx: AsyncConnection, source: Source, *, created_by: str) -> StoredSource | None:
    """Store a source; None when there is one with its id."""
    values = {**msgspec.structs.asdict(source), "created_by": created_by}
    row = (await tx.execute(INSERT, values)).one_or_none()
    return None if row is None else StoredSource(*row)


async def find(tx: AsyncConnection, source_id: str) -> StoredSource | None:
    """One source."""
    row = (await tx.execute(ONE, {"id": source_id})).one_or_none()
    return None if row is None else StoredSource(*row)


async def page(tx: AsyncConnection, *, after: str, limit: int) -> Sequence[StoredSource]:
    """Sources in the order of their ids, behind `after`."""
    rows = await tx.execute(PAGE, {"after": after, "limit": limit})
    return [StoredSource(*row) for row in rows]


async def insert_key(
    tx: AsyncConnection,
    *,
    key_id: str,
    source_id: str,
    prefix: str,
    key_sha256: bytes,
    created_by: str,
) -> StoredKey:
    """Store a key of a source that exists."""
    values = {
        "id": key_id,
        "source_id": source_id,
        "prefix": prefix,
        "key_sha256": key_sha256,
        "created_by": created_by,
    }
    return StoredKey(*(await tx.execute(INSERT_KEY, values)).one())


async def keys(tx: AsyncConnection, source_id: str) -> Sequence[StoredKey]:
    """The keys of a source in the order of their creation, ended ones too."""
    return [StoredKey(*row) for row in await tx.execute(KEYS, {"source_id": source_id})]


async def revoke_key(tx: AsyncConnection, source_id: str, key_id: str) -> StoredKey | None:
    """End a key; None when the source has no such key, or it was ended before."""
    row = (await tx.execute(REVOKE_KEY, {"id": key_id, "source_id": source_id})).one_or_none()
    return None if row is None else StoredKey(*row)


async def everything(tx: AsyncConnection) -> tuple[dict[str, Source], dict[bytes, str]]:
    """All sources by id, and for the hash of every live key the id of its source."""
    found = [Source(**row) for row in (await tx.execute(ALL)).mappings()]
    live = {bytes(row.key_sha256): row.source_id for row in await tx.execute(LIVE_KEYS)}
    return {source.id: source for source in found}, live
