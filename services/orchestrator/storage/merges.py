"""Moves everything that was done for a profile to the profile it was merged into.

All rows involved must be locked. Doing it again changes nothing. Decisions stay where they were
taken; whoever lists them asks for the merged profiles too.
"""

from collections.abc import Sequence

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_PAIRS = "unnest(CAST(:losers AS uuid[]), CAST(:winners AS uuid[])) AS m (loser, winner)"
_ALIAS = text(
    f"""
    UPDATE profile_state AS s SET merged_into = m.winner, in_flight = 0, snapshot = NULL
      FROM {_PAIRS}
     WHERE s.profile_id = m.loser AND s.merged_into IS NULL
    RETURNING s.profile_id::text AS loser, m.winner::text AS winner, old.in_flight, old.snapshot
    """  # noqa: S608 - the one constant above
)
_GIVE = text(
    """
    UPDATE profile_state AS s
       SET in_flight = s.in_flight + m.in_flight, snapshot = COALESCE(s.snapshot, m.snapshot)
      FROM (SELECT winner, sum(in_flight)::integer AS in_flight,
                   (array_agg(snapshot ORDER BY n) FILTER (WHERE snapshot IS NOT NULL))[1]
                       AS snapshot
              FROM unnest(CAST(:winners AS uuid[]), CAST(:in_flight AS integer[]),
                          CAST(:snapshots AS bytea[])) WITH ORDINALITY
                   AS g (winner, in_flight, snapshot, n) GROUP BY winner) AS m
     WHERE s.profile_id = m.winner
    """
)
_MOVES = tuple(
    text(
        f"UPDATE {table} AS t SET profile_id = m.winner "  # noqa: S608 - constants
        f"FROM {_PAIRS} WHERE t.profile_id = m.loser"
    )
    for table in ("action", "contact_ledger", "timer")
)
_ENTRIES = text(
    f"""
    WITH gone AS (
        DELETE FROM rule_entry AS t USING {_PAIRS} WHERE t.profile_id = m.loser
        RETURNING m.winner, t.rule, t.entry_key, t.entered_at, t.count
    )
    INSERT INTO rule_entry AS t (profile_id, rule, entry_key, entered_at, count)
    SELECT winner, rule, entry_key, max(entered_at), sum(count)::integer
      FROM gone GROUP BY winner, rule, entry_key
        ON CONFLICT (profile_id, rule, entry_key) DO UPDATE
       SET entered_at = greatest(t.entered_at, excluded.entered_at),
           count = t.count + excluded.count
    """  # noqa: S608 - constants
)
_EXITS = text(
    f"""
    WITH gone AS (
        DELETE FROM exit_mark AS t USING {_PAIRS} WHERE t.profile_id = m.loser
        RETURNING m.winner, t.criterion, t.occurred_at, t.touchpoint_id
    )
    INSERT INTO exit_mark AS t (profile_id, criterion, occurred_at, touchpoint_id)
    SELECT DISTINCT ON (winner, criterion) winner, criterion, occurred_at, touchpoint_id
      FROM gone ORDER BY winner, criterion, occurred_at DESC, touchpoint_id
        ON CONFLICT (profile_id, criterion) DO UPDATE
       SET occurred_at = excluded.occurred_at, touchpoint_id = excluded.touchpoint_id
     WHERE t.occurred_at < excluded.occurred_at
    """  # noqa: S608 - constants
)


async def absorb(tx: AsyncConnection, pairs: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Make each loser an alias of its winner and move what it has; returns the pairs that were
    new. A winner must not itself be merged away, and no loser may be a winner."""
    rows = (await tx.execute(_ALIAS, _columns(pairs))).all()
    if not rows:
        return []
    new = [(row.loser, row.winner) for row in rows]
    await tx.execute(
        _GIVE,
        {
            "winners": [row.winner for row in rows],
            "in_flight": [row.in_flight for row in rows],
            "snapshots": [row.snapshot for row in rows],
        },
    )
    for statement in (*_MOVES, _ENTRIES, _EXITS):
        await tx.execute(statement, _columns(new))
    return new


def _columns(pairs: Sequence[tuple[str, str]]) -> dict[str, list[str]]:
    return {"losers": [loser for loser, _ in pairs], "winners": [winner for _, winner in pairs]}
