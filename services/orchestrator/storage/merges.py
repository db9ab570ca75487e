"""Moves everything that was done for a profile to the profile it was merged into, and back.

All rows involved must be locked. Doing it again changes nothing. Decisions stay where they were
taken; whoever lists them asks for the merged profiles too.
"""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_PAIRS = "unnest(CAST(:losers AS uuid[]), CAST(:winners AS uuid[])) AS m (loser, winner)"
_ALIAS = text(
    """
    UPDATE profile_state AS s SET merged_into = m.partner, in_flight = 0, snapshot = NULL
      FROM unnest(CAST(:losers AS uuid[]), CAST(:partners AS uuid[]), CAST(:winners AS uuid[]))
           AS m (loser, partner, winner)
     WHERE s.profile_id = m.loser AND s.merged_into IS NULL
    RETURNING s.profile_id::text AS loser, m.winner::text AS winner, old.in_flight, old.snapshot
    """
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
    for table in (
        "action",
        "contact_ledger",
        "timer",
        "outcome",
        "task",
        "delivery",
        "resource_use",
        "journey_run",
    )
)
_HELD = text(
    f"""
    WITH gone AS (
        DELETE FROM held_candidate AS t USING {_PAIRS} WHERE t.profile_id = m.loser
        RETURNING m.winner, t.touchpoint_id, t.of, t.held_at, t.ends_at, t.occurred_at, t.rules,
                  t.cause
    )
    INSERT INTO held_candidate (profile_id, touchpoint_id, of, held_at, ends_at, occurred_at,
                                rules, cause)
    SELECT * FROM gone ON CONFLICT DO NOTHING
    """  # noqa: S608 - constants
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
# The earlier exposure of the two holds; who was in two arms is mixed.
_EXPOSURES = text(
    f"""
    WITH gone AS (
        DELETE FROM exposure AS t USING {_PAIRS} WHERE t.profile_id = m.loser
        RETURNING m.winner, t.*
    ), had AS (
        DELETE FROM exposure AS t USING (SELECT DISTINCT winner, experiment FROM gone) AS g
         WHERE t.profile_id = g.winner AND t.experiment = g.experiment
        RETURNING t.*
    ), all_ AS (
        SELECT winner, experiment, arm, phase, at, seq, of, version, kind, place, node, mixed
          FROM gone
         UNION ALL
        SELECT profile_id, experiment, arm, phase, at, seq, of, version, kind, place, node, mixed
          FROM had
    )
    SELECT DISTINCT ON (winner, experiment) winner, experiment, arm, phase, at, seq, of, version,
           kind, place, node,
           bool_or(mixed) OVER both_ OR min(arm) OVER both_ <> max(arm) OVER both_ AS mixed
      FROM all_ WINDOW both_ AS (PARTITION BY winner, experiment)
     ORDER BY winner, experiment, at, seq, of, phase, version, arm
    """  # noqa: S608 - constants
)
_EXPOSED = text(
    """
    INSERT INTO exposure (profile_id, experiment, arm, phase, at, seq, of, version, kind, place,
                          node, mixed)
    SELECT * FROM unnest(
        CAST(:c0 AS uuid[]), CAST(:c1 AS text[]), CAST(:c2 AS text[]), CAST(:c3 AS integer[]),
        CAST(:c4 AS timestamptz[]), CAST(:c5 AS bigint[]), CAST(:c6 AS uuid[]),
        CAST(:c7 AS integer[]), CAST(:c8 AS text[]), CAST(:c9 AS text[]), CAST(:c10 AS text[]),
        CAST(:c11 AS boolean[]))
    """
)
_MEASURED = text(
    f"""
    WITH gone AS (
        DELETE FROM experiment_outcome AS t USING {_PAIRS} WHERE t.profile_id = m.loser
        RETURNING m.winner, t.experiment, t.metric, t.touchpoint_id, t.of, t.seq, t.at, t.value
    )
    INSERT INTO experiment_outcome (profile_id, experiment, metric, touchpoint_id, of, seq, at,
                                    value)
    SELECT * FROM gone ON CONFLICT DO NOTHING
    """  # noqa: S608 - constants
)
# The winner's own answer for a slot stays; whether it still holds is asked before it is given.
_SLOTS = text(
    f"""
    WITH gone AS (
        DELETE FROM slot_answer AS t USING {_PAIRS} WHERE t.profile_id = m.loser
        RETURNING m.winner, t.*
    )
    INSERT INTO slot_answer (profile_id, slot, decision_id, action_id, rule, version, epoch, at,
                             expires_at, body)
    SELECT DISTINCT ON (winner, slot) winner, slot, decision_id, action_id, rule, version, epoch,
           at, expires_at, body
      FROM gone ORDER BY winner, slot, at, decision_id
        ON CONFLICT (profile_id, slot) DO NOTHING
    """  # noqa: S608 - constants
)


class Absorption(NamedTuple):
    """`loser` was merged into `partner`; `winner` is who stands for both now."""

    loser: str
    partner: str
    winner: str


async def absorb(tx: AsyncConnection, absorptions: Sequence[Absorption]) -> list[tuple[str, str]]:
    """Make each loser an alias of its partner and move what it has to the winner; returns the
    (loser, winner) pairs that were new. A winner must not itself be merged away, and no loser may
    be a winner."""
    given = {
        "losers": [one.loser for one in absorptions],
        "partners": [one.partner for one in absorptions],
        "winners": [one.winner for one in absorptions],
    }
    rows = (await tx.execute(_ALIAS, given)).all()
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
    for statement in (*_MOVES, _HELD, _ENTRIES, _EXITS, _SLOTS, _MEASURED):
        await tx.execute(statement, _columns(new))
    exposed = (await tx.execute(_EXPOSURES, _columns(new))).all()
    if exposed:
        columns = zip(*exposed, strict=True)
        await tx.execute(_EXPOSED, {f"c{n}": list(column) for n, column in enumerate(columns)})
    return new


_STAND_ALONE = text(
    "UPDATE profile_state SET merged_into = NULL WHERE profile_id = CAST(:back AS uuid)"
)
_GIVE_BACK = text(
    """
    WITH RECURSIVE family (id) AS (
        SELECT CAST(:back AS uuid)
        UNION
        SELECT lost.profile_id
          FROM family JOIN profile_state AS lost ON lost.merged_into = family.id
    ), runs AS (
        UPDATE journey_run SET profile_id = CAST(:back AS uuid)
         WHERE profile_id = CAST(:root AS uuid) AND home IN (SELECT id FROM family)
        RETURNING id
    ), theirs AS (
        UPDATE action SET profile_id = CAST(:back AS uuid)
         WHERE profile_id = CAST(:root AS uuid)
           AND CASE WHEN run IS NULL
                    THEN CAST(convert_from(body, 'UTF8')::json ->> 'profile_id' AS uuid)
                         IN (SELECT id FROM family)
                    ELSE run IN (SELECT id FROM runs) END
        RETURNING action_id
    ), contacts AS (
        UPDATE contact_ledger SET profile_id = CAST(:back AS uuid)
         WHERE action_id IN (SELECT action_id FROM theirs)
    ), uses AS (
        UPDATE resource_use SET profile_id = CAST(:back AS uuid)
         WHERE action_id IN (SELECT action_id FROM theirs)
    ), held AS (
        UPDATE held_candidate SET profile_id = CAST(:back AS uuid)
         WHERE profile_id = CAST(:root AS uuid) AND of IN (SELECT id FROM family)
        RETURNING touchpoint_id, ends_at
    ), exposed AS (
        UPDATE exposure SET profile_id = CAST(:back AS uuid)
         WHERE profile_id = CAST(:root AS uuid) AND of IN (SELECT id FROM family)
    ), measured AS (
        UPDATE experiment_outcome SET profile_id = CAST(:back AS uuid)
         WHERE profile_id = CAST(:root AS uuid) AND of IN (SELECT id FROM family)
    ), windows AS (
        INSERT INTO timer (due_at, kind, profile_id, ref, gen)
        SELECT ends_at, 'arbitrate', CAST(:back AS uuid), touchpoint_id, 0
          FROM held ORDER BY ends_at, touchpoint_id LIMIT 1
    ), told AS (
        UPDATE outcome SET profile_id = CAST(:back AS uuid)
         WHERE action_id IN (SELECT action_id FROM theirs)
    ), tasks AS (
        UPDATE task SET profile_id = CAST(:back AS uuid)
         WHERE action_id IN (SELECT action_id FROM theirs)
    ), sent AS (
        UPDATE delivery SET profile_id = CAST(:back AS uuid)
         WHERE profile_id = CAST(:root AS uuid)
           AND action_id IN (SELECT action_id FROM theirs)
    )
    UPDATE timer SET profile_id = CAST(:back AS uuid)
     WHERE profile_id = CAST(:root AS uuid)
       AND (ref IN (SELECT action_id FROM theirs) OR ref IN (SELECT id FROM runs))
    """
)
_SAME_ENTRIES = text(
    """
    INSERT INTO rule_entry (profile_id, rule, entry_key, entered_at, count)
    SELECT CAST(:back AS uuid), rule, entry_key, entered_at, count
      FROM rule_entry WHERE profile_id = CAST(:root AS uuid)
        ON CONFLICT (profile_id, rule, entry_key) DO NOTHING
    """
)
_SAME_EXITS = text(
    """
    INSERT INTO exit_mark (profile_id, criterion, occurred_at, touchpoint_id)
    SELECT CAST(:back AS uuid), criterion, occurred_at, touchpoint_id
      FROM exit_mark WHERE profile_id = CAST(:root AS uuid)
        ON CONFLICT (profile_id, criterion) DO NOTHING
    """
)
_SLOTS_BACK = text(
    """
    UPDATE slot_answer SET profile_id = CAST(:back AS uuid)
     WHERE profile_id = CAST(:root AS uuid) AND action_id IN (
           SELECT action_id FROM action WHERE profile_id = CAST(:back AS uuid))
    """
)
_COUNT = text(
    """
    UPDATE profile_state AS s
       SET in_flight = counted.n,
           snapshot = CASE WHEN counted.n > 0 THEN COALESCE(s.snapshot, root.snapshot) END
      FROM (SELECT person,
                   (SELECT count(*) FROM action WHERE in_flight AND profile_id = person)
                   + (SELECT count(*) FROM held_candidate WHERE profile_id = person)
                   + (SELECT count(*) FROM journey_run WHERE watching AND profile_id = person)
                   AS n
              FROM unnest(ARRAY[CAST(:back AS uuid), CAST(:root AS uuid)]) AS pair (person)
           ) AS counted,
           (SELECT snapshot FROM profile_state WHERE profile_id = CAST(:root AS uuid)) AS root
     WHERE s.profile_id = counted.person
    """
)


async def part(tx: AsyncConnection, back: str, root: str) -> None:
    """Let a profile stand for itself again, with the actions, contacts, tasks, outcomes, runs and
    timers that were its own before `root` stood for it.

    Whose an entry or an exit was cannot be told any more: both sides remember it, so that nothing
    happens a second time. Until its next update it has the snapshot of `root`.
    """
    pair = {"back": back, "root": root}
    await tx.execute(_STAND_ALONE, {"back": back})
    for statement in (_GIVE_BACK, _SAME_ENTRIES, _SAME_EXITS, _SLOTS_BACK, _COUNT):
        await tx.execute(statement, pair)


def _columns(pairs: Sequence[tuple[str, str]]) -> dict[str, list[str]]:
    return {"losers": [loser for loser, _ in pairs], "winners": [winner for _, winner in pairs]}
