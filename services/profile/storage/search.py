"""Finds profiles by the beginning of an identifier or of a name, in the order of their places.

Every branch reads at most `limit` entries of an index in its order, from one lower bound: with two
PostgreSQL may start at the lesser one, and read half the index. Texts are compared byte by byte
(collation C), as the indexes are built.
"""

from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.profile.domain.profile import StoredProfile
from services.profile.domain.search import How, Names, Place, Query
from services.profile.storage.profiles import stored_profile

_NIL = "00000000-0000-0000-0000-000000000000"
_LAST = "\U0010ffff"
"""Behind everything that begins with the text before it."""


class Found(NamedTuple):
    """An entry of an index that matches."""

    place: Place
    profile_id: str


_FIND = text(
    """
    (SELECT 0 AS how, lower(value COLLATE "C") AS text, profile_id FROM identifier
      WHERE lower(value COLLATE "C") = ANY (CAST(:exact AS text[])) AND status = 'active'
        AND (lower(value COLLATE "C"), profile_id) > (CAST(:text_0 AS text), CAST(:id_0 AS uuid))
      ORDER BY 2, 3 LIMIT :limit)
    UNION ALL
    (SELECT 1, lower(value COLLATE "C"), profile_id FROM identifier
      WHERE (lower(value COLLATE "C"), profile_id) > (CAST(:text_1 AS text), CAST(:id_1 AS uuid))
        AND lower(value COLLATE "C") < CAST(:high_1 AS text) AND status = 'active'
      ORDER BY 2, 3 LIMIT :limit)
    UNION ALL
    (SELECT 2, first_last, id FROM profile
      WHERE (first_last, id) > (CAST(:text_2 AS text), CAST(:id_2 AS uuid))
        AND first_last < CAST(:high_2 AS text) AND status = 'active' AND first_last <> ''
      ORDER BY 2, 3 LIMIT :limit)
    UNION ALL
    (SELECT 3, last_first, id FROM profile
      WHERE (last_first, id) > (CAST(:text_3 AS text), CAST(:id_3 AS uuid))
        AND last_first < CAST(:high_3 AS text) AND status = 'active' AND last_first <> ''
      ORDER BY 2, 3 LIMIT :limit)
    ORDER BY 1, 2, 3 LIMIT :limit
    """
)


async def find(
    tx: AsyncConnection, query: Query, *, after: Found | None, limit: int
) -> list[Found]:
    """The first entries behind `after` that match. A profile may be among them more than once."""
    begins = {How.IDENTIFIER: query.prefix, How.NAME: query.name, How.NAME_REVERSED: query.name}
    reached = How.EXACT if after is None else after.place.how
    values: dict[str, object] = {
        "limit": limit,
        "exact": list(query.exact) if reached is How.EXACT else [],
    }
    for how in How:
        begin = (begins.get(how) or "") if how >= reached else ""
        start = (begin, _NIL)
        if after is not None and how is reached:
            start = max(start, (after.place.text, after.profile_id))
        values[f"text_{how:d}"], values[f"id_{how:d}"] = start
        if how is not How.EXACT:
            values[f"high_{how:d}"] = begin + _LAST if begin else ""
    rows = await tx.execute(_FIND, values)
    return [Found(Place(How(row[0]), row[1]), str(row[2])) for row in rows]


_READ = text(
    """
    SELECT id, status, merged_into, seq, n_merges, state, first_last, last_first
      FROM profile WHERE id = ANY (CAST(:ids AS uuid[])) AND status = 'active'
    """
)


async def read(tx: AsyncConnection, ids: list[str]) -> dict[str, tuple[StoredProfile, Names]]:
    """The active ones of the profiles, by id, with their names as they are searched."""
    rows = await tx.execute(_READ, {"ids": ids})
    return {
        str(row[0]): (stored_profile(row[:6]), Names(row[6] or "", row[7] or "")) for row in rows
    }
