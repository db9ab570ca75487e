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
    version: int
    created_at: datetime
    created_by: str


class StoredKey(NamedTuple):
    """A row of `source_key` as people may see it."""

    id: str
    source_id: str
    prefix: str
    scopes: list[str]
    expires_at: datetime | None
    created_at: datetime
    created_by: str
    revoked_at: datetime | None


class LiveKey(NamedTuple):
    """What a collector has to know of a key: whose it is, what it may do, and until when."""

    source_id: str
    scopes: list[str]
    expires_at: datetime | None


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
RETURNING id, name, channel, offline, dialect, default_region, subject_as, trust, timezone, device,
       max_age_seconds, mapping, tracking, events_per_second, pii, version, created_at, created_by
""")
    .bindparams(*JSON_PARAMETERS)
    .columns(**JSON_COLUMNS)
)

UPDATE = (
    text("""
UPDATE source
   SET name = :name, offline = :offline, dialect = :dialect, default_region = :default_region,
       subject_as = :subject_as, trust = :trust, timezone = :timezone, device = :device,
       max_age_seconds = :max_age_seconds, mapping = :mapping, tracking = :tracking,
       events_per_second = :events_per_second, pii = :pii, version = version + 1
 WHERE id = :id
RETURNING id, name, channel, offline, dialect, default_region, subject_as, trust, timezone, device,
       max_age_seconds, mapping, tracking, events_per_second, pii, version, created_at, created_by
""")
    .bindparams(*JSON_PARAMETERS)
    .columns(**JSON_COLUMNS)
)

PAGE = text("""
SELECT id, name, channel, offline, dialect, default_region, subject_as, trust, timezone, device,
       max_age_seconds, mapping, tracking, events_per_second, pii, version, created_at, created_by
  FROM source WHERE id > :after ORDER BY id LIMIT :limit
""").columns(**JSON_COLUMNS)

ONE = text("""
SELECT id, name, channel, offline, dialect, default_region, subject_as, trust, timezone, device,
       max_age_seconds, mapping, tracking, events_per_second, pii, version, created_at, created_by
  FROM source WHERE id = :id
""").columns(**JSON_COLUMNS)
LOCK = text("""
SELECT id, name, channel, offline, dialect, default_region, subject_as, trust, timezone, device,
       max_age_seconds, mapping, tracking, events_per_second, pii, version, created_at, created_by
  FROM source WHERE id = :id FOR UPDATE
""").columns(**JSON_COLUMNS)
ALL = text("""
SELECT id, name, channel, offline, dialect, default_region, subject_as, trust, timezone, device,
       max_age_seconds, mapping, tracking, events_per_second, pii
  FROM source ORDER BY id
""").columns(**JSON_COLUMNS)

INSERT_KEY = text("""
INSERT INTO source_key (id, source_id, prefix, key_sha256, scopes, expires_at, created_by)
VALUES (:id, :source_id, :prefix, :key_sha256, :scopes, :expires_at, :created_by)
RETURNING id, source_id, prefix, scopes, expires_at, created_at, created_by, revoked_at
""")

KEYS = text("""
SELECT id, source_id, prefix, scopes, expires_at, created_at, created_by, revoked_at
  FROM source_key WHERE source_id = :source_id ORDER BY created_at, id
""")

REVOKE_KEY = text("""
UPDATE source_key SET revoked_at = now()
 WHERE id = :id AND source_id = :source_id AND revoked_at IS NULL
RETURNING id, source_id, prefix, scopes, expires_at, created_at, created_by, revoked_at
""")

LIVE_KEYS = text("""
SELECT key_sha256, source_id, scopes, expires_at FROM source_key
 WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > clock_timestamp())
""")


async def insert(tx: AsyncConnection, source: Source, *, created_by: str) -> StoredSource | None:
    """Store a source; None when there is one with its id."""
    values = {**msgspec.structs.asdict(source), "created_by": created_by}
    row = (await tx.execute(INSERT, values)).one_or_none()
    return None if row is None else StoredSource(*row)


async def find(tx: AsyncConnection, source_id: str) -> StoredSource | None:
    """One source."""
    row = (await tx.execute(ONE, {"id": source_id})).one_or_none()
    return None if row is None else StoredSource(*row)


async def lock(tx: AsyncConnection, source_id: str) -> StoredSource | None:
    """As `find`, and nobody else changes the source or its keys before this transaction ends."""
    row = (await tx.execute(LOCK, {"id": source_id})).one_or_none()
    return None if row is None else StoredSource(*row)


async def update(tx: AsyncConnection, source: Source) -> StoredSource:
    """Store a source that exists as its next version; its channel stays as it is."""
    return StoredSource(*(await tx.execute(UPDATE, msgspec.structs.asdict(source))).one())


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
    scopes: Sequence[str],
    expires_at: datetime | None,
    created_by: str,
) -> StoredKey:
    """Store a key of a source that exists."""
    values = {
        "id": key_id,
        "source_id": source_id,
        "prefix": prefix,
        "key_sha256": key_sha256,
        "scopes": list(scopes),
        "expires_at": expires_at,
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


async def everything(tx: AsyncConnection) -> tuple[dict[str, Source], dict[bytes, LiveKey]]:
    """All sources by id, and by its hash every key that collectors take now."""
    found = [Source(**row) for row in (await tx.execute(ALL)).mappings()]
    live = {
        bytes(row.key_sha256): LiveKey(row.source_id, row.scopes, row.expires_at)
        for row in await tx.execute(LIVE_KEYS)
    }
    return {source.id: source for source in found}, live
