"""Keyed hashes of erased identifiers, and the ids of erased profiles: who must not come back.

A hash is HMAC-SHA256 with a key that only Concert has, so the table tells nobody who was erased.
The state of `erasure_epoch` is read after the profiles are locked (see `identifiers.owners`): an
erasure that was committed before is seen, and one that was not has to wait for those locks.
"""

import hashlib
import hmac
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.postgres.transaction import Tx


class Erasures(NamedTuple):
    """How many erasures there were, when the latest was, and whether some hold for ever."""

    epoch: int
    newest: datetime | None
    always: bool


class Suppressed(NamedTuple):
    """Since when an identifier is suppressed, and whether what happens later is so, too."""

    erased_at: datetime
    always: bool


def keyed_hash(secret: bytes, key: str) -> bytes:
    """The hash of an identifier (`type NUL value`): 32 bytes."""
    return hmac.digest(secret, key.encode(), hashlib.sha256)


_FIND = text(
    "SELECT hash, erased_at, always FROM suppression WHERE hash = ANY (CAST(:hashes AS bytea[]))"
)
_GONE = text("SELECT id::text FROM erased_profile WHERE id = ANY (CAST(:ids AS uuid[]))")
_PUT = text(
    """
    INSERT INTO suppression (hash, erased_at, always)
    SELECT hash, :at, :always FROM unnest(CAST(:hashes AS bytea[])) AS new (hash) ORDER BY hash
    ON CONFLICT (hash) DO UPDATE
       SET erased_at = excluded.erased_at, always = suppression.always OR excluded.always
    """
)
_ERASED = text(
    """
    INSERT INTO erased_profile (id, request_id, erased_at)
    SELECT id, :request_id, :at FROM unnest(CAST(:ids AS uuid[])) AS new (id)
    ON CONFLICT DO NOTHING
    """
)
_BUMP = text(
    """
    UPDATE erasure_epoch
       SET epoch = epoch + 1, newest = greatest(newest, :at), always = always OR :always
    """
)
_PAGE_OF_GONE = text("SELECT id::text FROM erased_profile")


async def find(tx: AsyncConnection, secret: bytes, keys: Iterable[str]) -> Mapping[str, Suppressed]:
    """Those of the identifiers (`type NUL value`) that are suppressed."""
    by_hash = {keyed_hash(secret, key): key for key in keys}
    rows = await tx.execute(_FIND, {"hashes": list(by_hash)})
    return {by_hash[bytes(row.hash)]: Suppressed(row.erased_at, row.always) for row in rows}


async def gone(tx: Tx, ids: Collection[str]) -> set[str]:
    """Those of the profile ids that were erased."""
    return set((await tx.execute(_GONE, {"ids": list(ids)})).scalars())


async def all_gone(tx: AsyncConnection) -> set[str]:
    """The ids of all profiles that were ever erased."""
    return set((await tx.execute(_PAGE_OF_GONE)).scalars())


async def put(
    tx: AsyncConnection, secret: bytes, keys: Iterable[str], *, at: datetime, always: bool
) -> int:
    """Suppress identifiers; how many. `always`: what happens after `at`, too."""
    hashes = sorted(keyed_hash(secret, key) for key in keys)
    await tx.execute(_PUT, {"hashes": hashes, "at": at, "always": always})
    return len(hashes)


async def note(
    tx: AsyncConnection, ids: Collection[str], *, request_id: str, at: datetime, always: bool
) -> None:
    """Profiles were erased: their ids stay gone, and every worker learns of it."""
    values = {"ids": list(ids), "request_id": request_id, "at": at}
    await tx.execute(_ERASED, values)
    await tx.execute(_BUMP, {"at": at, "always": always})


_ANY = text("SELECT EXISTS (SELECT FROM suppression)")


async def any_suppressed(tx: AsyncConnection) -> bool:
    """Whether anything was ever suppressed."""
    found: bool = (await tx.execute(_ANY)).scalar_one()
    return found
