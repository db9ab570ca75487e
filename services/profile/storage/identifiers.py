"""Which profile each identifier belongs to.

A row is changed only by who holds the lock of the profile it belongs to, and inserted after all
profile locks, in order of id; so nobody who waits for an identifier holds a later lock.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.profile.storage.suppression import Erasures


class NewIdentifier(NamedTuple):
    """A row to be inserted."""

    id: str
    type: str
    value: str
    profile_id: str


def identifier_id(key: str) -> str:
    """The database key of `type NUL value`: the first 16 bytes of its SHA-256, as 32 hex digits."""
    return hashlib.sha256(key.encode()).hexdigest()[:32]


_OWNERS = text(
    """
    SELECT named.places, named.profiles, named.shared, epoch, newest, always
      FROM erasure_epoch CROSS JOIN (
        SELECT array_agg(n) AS places, array_agg(profile_id) AS profiles,
               array_agg(status = 'shared') AS shared
          FROM unnest(CAST(:ids AS uuid[])) WITH ORDINALITY AS asked (id, n)
         CROSS JOIN LATERAL (
               SELECT profile_id, status FROM identifier WHERE identifier.id = asked.id LIMIT 1
         ) AS found
      ) AS named
    """
)


class Owners(NamedTuple):
    """By position in what was asked: the profiles of those that are stored, and those that many
    people use, which own nothing together. `erasures` is what was erased up to now."""

    profiles: dict[int, str]
    shared: set[int]
    erasures: Erasures


async def owners(tx: AsyncConnection, ids: Sequence[str]) -> Owners:
    """Whose the identifiers (by id) are."""
    row = (await tx.execute(_OWNERS, {"ids": ids})).one()
    found = Owners({}, set(), Erasures(*row[3:]))
    if row[0] is not None:
        for n, profile_id, shared in zip(*row[:3], strict=True):
            if shared:
                found.shared.add(n - 1)
            else:
                found.profiles[n - 1] = str(profile_id)
    return found


_SHARE = text("UPDATE identifier SET status = 'shared' WHERE id = ANY (CAST(:ids AS uuid[]))")


async def share(tx: AsyncConnection, ids: Sequence[str]) -> None:
    """Note that many people use these identifiers (by id)."""
    if ids:
        await tx.execute(_SHARE, {"ids": ids})


_KEYS = text("SELECT type, value FROM identifier WHERE id = ANY (CAST(:ids AS uuid[]))")


async def keys(tx: AsyncConnection, ids: Sequence[str]) -> set[str]:
    """The identifiers with these ids, as `type NUL value`."""
    return {f"{type_}\0{value}" for type_, value in await tx.execute(_KEYS, {"ids": ids})}


_INSERT = text(
    """
    INSERT INTO identifier (id, type, value, profile_id)
    SELECT * FROM unnest(CAST(:ids AS uuid[]), CAST(:types AS text[]), CAST(:values AS text[]),
                         CAST(:profiles AS uuid[]))
    ON CONFLICT DO NOTHING
    """
)


async def insert(tx: AsyncConnection, rows: Iterable[NewIdentifier]) -> bool:
    """Insert all rows, in order of id; False if somebody else had inserted one of them by now."""
    ordered = sorted(rows)
    if not ordered:
        return True
    result = await tx.execute(
        _INSERT,
        {
            "ids": [row.id for row in ordered],
            "types": [row.type for row in ordered],
            "values": [row.value for row in ordered],
            "profiles": [row.profile_id for row in ordered],
        },
    )
    return result.rowcount == len(ordered)


_MOVE = text(
    """
    UPDATE identifier SET profile_id = moved.profile_id
      FROM unnest(CAST(:ids AS uuid[]), CAST(:profiles AS uuid[])) AS moved (id, profile_id)
     WHERE identifier.id = moved.id AND identifier.id = ANY (CAST(:ids AS uuid[]))
    """
)


async def move(tx: AsyncConnection, moved: Mapping[str, str]) -> None:
    """Point identifiers (by id) at the profile they now belong to."""
    if moved:
        await tx.execute(_MOVE, {"ids": list(moved), "profiles": list(moved.values())})


_KNOWN_TYPES = text(
    """
    SELECT name FROM unnest(CAST(:types AS text[])) AS asked (name)
     WHERE EXISTS (SELECT FROM identifier WHERE type = asked.name) ORDER BY name
    """
)


async def known_types(tx: AsyncConnection, types: Sequence[str]) -> list[str]:
    """Those of the types of which there are identifiers."""
    return list((await tx.execute(_KNOWN_TYPES, {"types": types})).scalars())
