"""The row of a profile: its lock, the last update it saw, what it was merged into, its snapshot.

Rows are locked in the order of their ids. The hot path is one statement for a whole batch that
answers nothing at all for profiles where nothing is in flight and no update is missing.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.postgres.together import Part
from shared.postgres.transaction import Tx

# `old` in RETURNING needs PostgreSQL 18. Rows without `first_seq` are locked only (a partner of a
# merge); all others also take the position of the last update of the batch.
_ADVANCE = text(
    """
    WITH given AS (
        SELECT * FROM unnest(CAST(:ids AS uuid[]), CAST(:firsts AS bigint[]),
                             CAST(:lasts AS bigint[])) AS g (profile_id, first_seq, last_seq)
    ), moved AS (
        INSERT INTO profile_state AS s (profile_id, last_seq)
        SELECT profile_id, last_seq FROM given ORDER BY profile_id
            ON CONFLICT (profile_id)
            DO UPDATE SET last_seq = greatest(s.last_seq, excluded.last_seq)
        RETURNING s.profile_id, COALESCE(old.last_seq, 0) AS had, merged_into, in_flight, link_seq
    )
    SELECT profile_id::text, had, merged_into::text, in_flight, link_seq, first_seq
      FROM moved JOIN given USING (profile_id)
     WHERE had <> first_seq - 1 OR in_flight > 0 OR merged_into IS NOT NULL OR link_seq > 0
    """
)
_LOCK = text(
    """
    SELECT profile_id::text, merged_into::text, in_flight, last_seq, snapshot, erased
      FROM profile_state
     WHERE profile_id = ANY(CAST(:ids AS uuid[])) ORDER BY profile_state.profile_id FOR UPDATE
    """
)
_LOCK_FREE = text(f"{_LOCK.text} SKIP LOCKED")
_COLUMNS = "profile_id::text, merged_into::text, in_flight, last_seq, snapshot, erased"
# A row that somebody else makes meanwhile is in neither part.
_LOCK_OR_MAKE = text(
    f"""
    WITH made AS (
        INSERT INTO profile_state (profile_id, last_seq) VALUES (CAST(:id AS uuid), 0)
            ON CONFLICT DO NOTHING RETURNING *
    ), found AS MATERIALIZED (
        SELECT * FROM profile_state WHERE profile_id = CAST(:id AS uuid) FOR UPDATE
    )
    SELECT {_COLUMNS} FROM found UNION ALL SELECT {_COLUMNS} FROM made
    """  # noqa: S608 - columns
)
_SAVE = text(
    """
    UPDATE profile_state AS s
       SET in_flight = g.in_flight,
           snapshot = CASE WHEN g.in_flight > 0
                           THEN COALESCE(g.fresh, s.snapshot, g.spare) END
      FROM unnest(CAST(:ids AS uuid[]), CAST(:in_flight AS integer[]), CAST(:fresh AS bytea[]),
                  CAST(:spare AS bytea[])) AS g (profile_id, in_flight, fresh, spare)
     WHERE s.profile_id = g.profile_id
    """
)


_LINKS = text(
    """
    UPDATE profile_state AS s SET link_seq = greatest(s.link_seq, g.seq)
      FROM unnest(CAST(:ids AS uuid[]), CAST(:seqs AS bigint[])) AS g (profile_id, seq)
     WHERE s.profile_id = g.profile_id
    """
)


@dataclass(frozen=True, slots=True)
class Unusual:
    """A profile that needs a closer look: updates were seen before or are missing, something is
    in flight, or it was merged away once. `had` is the last update before the batch, `link_seq`
    the one that last merged it or brought it back."""

    had: int
    merged_into: str | None
    in_flight: int
    link_seq: int


@dataclass(frozen=True, slots=True)
class Locked:
    """A locked row; `snapshot` is there while something is in flight. Nothing may come of a profile
    that is `erased`."""

    merged_into: str | None
    in_flight: int
    last_seq: int
    snapshot: bytes | None
    erased: bool = False


@dataclass(frozen=True, slots=True)
class Saved:
    """What a row becomes: `fresh` is the person's own snapshot, `spare` one that is better than
    none, of a profile that was merged into it."""

    in_flight: int
    fresh: bytes | None
    spare: bytes | None


async def advance(
    tx: Tx, spans: Mapping[str, tuple[int, int]], partners: Collection[str]
) -> dict[str, Unusual]:
    """Lock the profiles, making missing ones, and move each to the last update of its span
    (first, last). `partners` are locked only. Returns the unusual ones."""
    ids, firsts, lasts = list(spans), [], []
    for first, last in spans.values():
        firsts.append(first)
        lasts.append(last)
    extra = [profile_id for profile_id in partners if profile_id not in spans]
    given: dict[str, Sequence[Any]] = {
        "ids": ids + extra,
        "firsts": [*firsts, *[None] * len(extra)],
        "lasts": [*lasts, *[0] * len(extra)],
    }
    return {
        row.profile_id: Unusual(row.had, row.merged_into, row.in_flight, row.link_seq)
        for row in await tx.execute(_ADVANCE, given)
    }


async def lock(tx: Tx, ids: Collection[str]) -> dict[str, Locked]:
    """Lock the rows that exist, waiting for whoever holds them."""
    return await _locked(tx, _LOCK, ids)


async def lock_or_make(tx: Tx, id_: str) -> Locked:
    """Lock the row of one profile, which is made if there is none."""
    rows = (await tx.execute(_LOCK_OR_MAKE, {"id": id_})).all()
    return _row(rows[0]) if rows else (await lock(tx, [id_]))[id_]


async def lock_free(tx: Tx, ids: Collection[str]) -> dict[str, Locked]:
    """Lock the rows that nobody else holds."""
    return await _locked(tx, _LOCK_FREE, ids)


async def _locked(tx: Tx, statement: Any, ids: Collection[str]) -> dict[str, Locked]:
    rows = await tx.execute(statement, {"ids": sorted(ids)})
    return {row.profile_id: _row(row) for row in rows}


def _row(row: Any) -> Locked:
    return Locked(row.merged_into, row.in_flight, row.last_seq, row.snapshot, row.erased)


async def save(tx: Tx, states: Mapping[str, Saved]) -> None:
    """Write what is in flight and the snapshot of locked profiles."""
    part = saving(states)
    await tx.execute(part.statement, part.values)


def saving(states: Mapping[str, Saved]) -> Part:
    """The same as a part of a larger write."""
    return Part(
        _SAVE,
        {
            "ids": list(states),
            "in_flight": [state.in_flight for state in states.values()],
            "fresh": [state.fresh for state in states.values()],
            "spare": [state.spare for state in states.values()],
        },
    )


async def note_links(tx: AsyncConnection, seqs: Mapping[str, int]) -> None:
    """Keep with which update each locked profile was merged or brought back."""
    await tx.execute(_LINKS, {"ids": list(seqs), "seqs": list(seqs.values())})
