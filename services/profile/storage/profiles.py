"""Profile rows: locked in order of id, read through merges, written once a batch.

Statements name rows by `= ANY (array)` or by LATERAL with LIMIT, not by a plain join with an
array: on a young database, before its first ANALYZE, PostgreSQL would join by scanning the table,
and would keep that plan while the table grows.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.profile.domain.profile import StoredProfile, decode_state, encode_state
from services.profile.domain.snapshot import computed
from services.profile.domain.stored_facts import searched_names, stored_facts
from services.profile.domain.working_profile import WorkingProfile

_LOCK_FREE = text(
    """
    SELECT id, status, merged_into, seq, n_merges, state
      FROM profile WHERE id = ANY (CAST(:ids AS uuid[])) ORDER BY id FOR UPDATE SKIP LOCKED
    """
)


async def lock_free(tx: AsyncConnection, ids: Sequence[str]) -> list[StoredProfile]:
    """Lock those of the profiles that nobody else holds just now, in order of id."""
    return [stored_profile(row) for row in await tx.execute(_LOCK_FREE, {"ids": ids})]


_SET_SAVEPOINT = text("SAVEPOINT before_locks")
_BACK_TO_SAVEPOINT = text("ROLLBACK TO SAVEPOINT before_locks")


async def set_savepoint(tx: AsyncConnection) -> None:
    """To be called before `lock`; needs no release, the commit does that."""
    await tx.execute(_SET_SAVEPOINT)


async def back_to_savepoint(tx: AsyncConnection) -> None:
    """Give back every lock and undo every write since the savepoint; it can be used again."""
    await tx.execute(_BACK_TO_SAVEPOINT)


_LOCK = text(
    """
    SELECT id, status, merged_into, seq, n_merges, state
      FROM profile
     WHERE id = ANY (ARRAY (
               SELECT profile_id FROM identifier
                WHERE id = ANY (CAST(:identifiers AS uuid[])) AND status <> 'shared'
               UNION
               SELECT unnest(CAST(:profiles AS uuid[]))
           ))
     ORDER BY id
       FOR UPDATE
    """
)


async def lock(
    tx: AsyncConnection, *, identifiers: Sequence[str] = (), profiles: Sequence[str] = ()
) -> dict[str, StoredProfile]:
    """Lock, in order of id, the profiles that own the identifiers (by id) and those named. Whose a
    shared identifier is does not matter.

    Identifiers may have changed hands while this waited: read their owners again afterwards.
    """
    rows = await tx.execute(_LOCK, {"identifiers": identifiers, "profiles": profiles})
    stored = map(stored_profile, rows)
    return {profile.id: profile for profile in stored}


_CURRENT = text(
    """
    WITH RECURSIVE way AS (
        SELECT id AS asked, id, merged_into
          FROM profile WHERE id = ANY (CAST(:ids AS uuid[]))
        UNION
        SELECT asked, next.id, next.merged_into
          FROM way CROSS JOIN LATERAL (
               SELECT id, merged_into FROM profile WHERE id = way.merged_into LIMIT 1
          ) AS next
    )
    SELECT asked, id FROM way WHERE merged_into IS NULL
    """
)


async def current(tx: AsyncConnection, ids: Sequence[str]) -> dict[str, str]:
    """Profile id -> the profile it has become by merges; ids that never were are left out."""
    rows = await tx.execute(_CURRENT, {"ids": ids})
    return {str(row.asked): str(row.id) for row in rows}


_READ = text(
    """
    SELECT id, status, merged_into, seq, n_merges, state
      FROM profile WHERE id = CAST(:id AS uuid)
    """
)
_READ_BY_IDENTIFIER = text(
    """
    SELECT profile.id, profile.status, merged_into, seq, n_merges, state
      FROM identifier JOIN profile ON profile.id = identifier.profile_id
     WHERE identifier.id = CAST(:id AS uuid)
    """
)


async def read(tx: AsyncConnection, profile_id: str) -> StoredProfile | None:
    """One profile by its own id, merged or not; None if there is none."""
    row = (await tx.execute(_READ, {"id": profile_id})).one_or_none()
    return None if row is None else stored_profile(row)


async def read_by_identifier(tx: AsyncConnection, identifier_id: str) -> StoredProfile | None:
    """The profile an identifier (by id) belongs to; None if it is not known."""
    row = (await tx.execute(_READ_BY_IDENTIFIER, {"id": identifier_id})).one_or_none()
    return None if row is None else stored_profile(row)


_RESOLVE = text(
    """
    WITH RECURSIVE asked AS (
        SELECT n, id FROM unnest(CAST(:ids AS uuid[])) WITH ORDINALITY AS named (id, n)
        UNION ALL
        SELECT n + cardinality(CAST(:ids AS uuid[])), found.profile_id
          FROM unnest(CAST(:identifiers AS uuid[])) WITH ORDINALITY AS pointing (id, n)
         CROSS JOIN LATERAL (
               SELECT profile_id FROM identifier WHERE identifier.id = pointing.id LIMIT 1
         ) AS found
    ), way AS (
        SELECT n, found.id, found.merged_into
          FROM asked CROSS JOIN LATERAL (
               SELECT id, merged_into FROM profile WHERE id = asked.id LIMIT 1
          ) AS found
        UNION
        SELECT n, next.id, next.merged_into
          FROM way CROSS JOIN LATERAL (
               SELECT id, merged_into FROM profile WHERE id = way.merged_into LIMIT 1
          ) AS next
    )
    SELECT n, id FROM way WHERE merged_into IS NULL
    """
)
_READ_MANY = text(
    """
    SELECT id, status, merged_into, seq, n_merges, state
      FROM profile WHERE id = ANY (CAST(:ids AS uuid[]))
    """
)


async def read_many(
    tx: AsyncConnection, *, ids: Sequence[str], identifiers: Sequence[str]
) -> list[StoredProfile | None]:
    """The active profiles that ids and then identifiers (by id) stand for, one for each, in their
    order; None for those that stand for nobody. Two statements, however many are asked."""
    rows = await tx.execute(_RESOLVE, {"ids": ids, "identifiers": identifiers})
    current = {row.n - 1: str(row.id) for row in rows}
    found = await tx.execute(_READ_MANY, {"ids": sorted(set(current.values()))})
    stored = {one.id: one for one in map(stored_profile, found)}
    return [stored.get(current.get(n, "")) for n in range(len(ids) + len(identifiers))]


_PAGE = text(
    """
    SELECT id, status, merged_into, seq, n_merges, state
      FROM profile WHERE id > CAST(:after AS uuid) ORDER BY id LIMIT :limit
    """
)


async def page(tx: AsyncConnection, *, after: str, limit: int) -> list[StoredProfile]:
    """At most `limit` profiles, merged ones too, whose id is greater than `after`."""
    return [
        stored_profile(row) for row in await tx.execute(_PAGE, {"after": after, "limit": limit})
    ]


_WRITE = text(
    """
    INSERT INTO profile (id, status, merged_into, seq, n_merges, state, created_at, last_seen_at,
                         facts, computed, first_last, last_first)
    SELECT id, CASE WHEN merged_into IS NULL THEN 'active' ELSE 'merged' END, merged_into, seq,
           n_merges, state, CAST(created_at AS timestamptz), CAST(last_seen_at AS timestamptz),
           CAST(facts AS jsonb), CAST(computed AS jsonb), first_last, last_first
      FROM unnest(CAST(:ids AS uuid[]), CAST(:merged_into AS uuid[]), CAST(:seqs AS bigint[]),
                  CAST(:n_merges AS integer[]), CAST(:states AS bytea[]),
                  CAST(:created_at AS text[]), CAST(:last_seen_at AS text[]),
                  CAST(:facts AS text[]), CAST(:computed AS text[]),
                  CAST(:first_last AS text[]), CAST(:last_first AS text[]))
           AS new (id, merged_into, seq, n_merges, state, created_at, last_seen_at, facts, computed,
                   first_last, last_first)
    ON CONFLICT (id) DO UPDATE
       SET status = excluded.status, merged_into = excluded.merged_into, seq = excluded.seq,
           n_merges = excluded.n_merges, state = excluded.state,
           created_at = excluded.created_at, last_seen_at = excluded.last_seen_at,
           facts = coalesce(excluded.facts, profile.facts), computed = excluded.computed,
           first_last = coalesce(excluded.first_last, profile.first_last),
           last_first = coalesce(excluded.last_first, profile.last_first)
    """
)


async def write(tx: AsyncConnection, changed: Sequence[WorkingProfile]) -> None:
    """Insert or replace the rows of profiles that are locked or new."""
    if not changed:
        return
    names = [searched_names(one) for one in changed]
    await tx.execute(
        _WRITE,
        {
            "ids": [one.id for one in changed],
            "merged_into": [one.merged_into for one in changed],
            "seqs": [one.seq for one in changed],
            "n_merges": [one.n_merges for one in changed],
            "states": [encode_state(one.state) for one in changed],
            "created_at": [one.state.created_at for one in changed],
            "last_seen_at": [one.state.last_seen_at for one in changed],
            "facts": [stored_facts(one) for one in changed],
            "computed": [computed(one).decode() for one in changed],
            "first_last": [None if one is None else one.first_last for one in names],
            "last_first": [None if one is None else one.last_first for one in names],
        },
    )


def stored_profile(row: Sequence[Any]) -> StoredProfile:
    """The row (id, status, merged_into, seq, n_merges, state)."""
    id_, status, merged_into, seq, n_merges, state = row
    return StoredProfile(
        str(id_),
        status,
        None if merged_into is None else str(merged_into),
        seq,
        n_merges,
        decode_state(state),
    )
