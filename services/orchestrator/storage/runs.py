"""Runs of journeys: written as they stand after a batch, with their logs and counts.

The profiles must be locked. `histories` reads the runs that a batch can matter to.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import text

from services.orchestrator.domain.effects import RunNote
from services.orchestrator.domain.history import History
from services.orchestrator.domain.journeys.counts import counts_of
from services.orchestrator.domain.run import Run, Standing
from shared.postgres.transaction import Tx

run_encoder = msgspec.json.Encoder()
run_decoder = msgspec.json.Decoder(Run)

_WRITE = text(
    """
    INSERT INTO journey_run AS r (id, profile_id, home, journey, version, key, node, occurrence,
                                  status, reason, entered_at, since, wakes_at, ended_at, gen,
                                  paused, watching, goal_at, goal_happened_at, goal_within, state,
                                  cause)
    SELECT * FROM unnest(
        CAST(:c0 AS uuid[]), CAST(:c1 AS uuid[]), CAST(:c2 AS uuid[]), CAST(:c3 AS text[]),
        CAST(:c4 AS integer[]), CAST(:c5 AS text[]), CAST(:c6 AS text[]), CAST(:c7 AS integer[]),
        CAST(:c8 AS text[]), CAST(:c9 AS text[]), CAST(:c10 AS timestamptz[]),
        CAST(:c11 AS timestamptz[]), CAST(:c12 AS timestamptz[]), CAST(:c13 AS timestamptz[]),
        CAST(:c14 AS integer[]), CAST(:c15 AS boolean[]), CAST(:c16 AS boolean[]),
        CAST(:c17 AS timestamptz[]), CAST(:c18 AS timestamptz[]), CAST(:c19 AS interval[]),
        CAST(:c20 AS bytea[]), CAST(:c21 AS bytea[]))
        ON CONFLICT (id) DO UPDATE
       SET profile_id = excluded.profile_id, version = excluded.version, node = excluded.node,
           occurrence = excluded.occurrence, status = excluded.status, reason = excluded.reason,
           since = excluded.since, wakes_at = excluded.wakes_at, ended_at = excluded.ended_at,
           gen = excluded.gen, paused = excluded.paused, watching = excluded.watching,
           goal_at = excluded.goal_at, goal_happened_at = excluded.goal_happened_at,
           goal_within = excluded.goal_within, state = excluded.state
    """
)
_LOG = text(
    """
    INSERT INTO run_log (run, at, kind, node, occurrence, word)
    SELECT * FROM unnest(CAST(:c0 AS uuid[]), CAST(:c1 AS timestamptz[]), CAST(:c2 AS text[]),
                         CAST(:c3 AS text[]), CAST(:c4 AS integer[]), CAST(:c5 AS text[]))
    """
)
_COUNT = text(
    """
    INSERT INTO journey_count (journey, node, kind, word, day, n)
    SELECT * FROM unnest(CAST(:c0 AS text[]), CAST(:c1 AS text[]), CAST(:c2 AS text[]),
                         CAST(:c3 AS text[]), CAST(:c4 AS date[]), CAST(:c5 AS bigint[]))
    """
)
_SUM_UP = text(
    """
    WITH turn AS MATERIALIZED (
        SELECT pg_try_advisory_xact_lock(hashtext('journey_count')) AS ours
    ), several AS (
        SELECT journey, node, kind, word, day FROM journey_count
         WHERE day >= (SELECT max(day) FROM journey_count) - 1 AND (SELECT ours FROM turn)
         GROUP BY journey, node, kind, word, day HAVING count(*) > 1
    ), gone AS (
        DELETE FROM journey_count AS c USING several AS s
         WHERE (c.journey, c.node, c.kind, c.word, c.day)
             = (s.journey, s.node, s.kind, s.word, s.day)
        RETURNING c.journey, c.node, c.kind, c.word, c.day, c.n
    )
    INSERT INTO journey_count (journey, node, kind, word, day, n)
    SELECT journey, node, kind, word, day, sum(n) FROM gone GROUP BY journey, node, kind, word, day
    """
)
_PAST = text(
    """
    SELECT profile_id::text, state, cause, watching FROM journey_run
     WHERE profile_id = ANY(CAST(:ids AS uuid[])) AND journey = ANY(CAST(:journeys AS text[]))
     ORDER BY entered_at, id
    """
)
_PERSON = text("SELECT profile_id::text FROM journey_run WHERE id = :id")
_TAKE = text(
    """
    INSERT INTO journey_line AS l (journey, node, free_at)
    SELECT journey, node, CAST(:at AS timestamptz) + step * wanted
      FROM unnest(CAST(:journeys AS text[]), CAST(:nodes AS text[]), CAST(:steps AS interval[]),
                  CAST(:wanted AS integer[])) AS g (journey, node, step, wanted)
     ORDER BY journey, node
        ON CONFLICT (journey, node) DO UPDATE
       SET free_at = greatest(l.free_at, CAST(:at AS timestamptz))
                     + (excluded.free_at - CAST(:at AS timestamptz))
    RETURNING journey, node, free_at
    """
)
_GIVE_BACK = text(
    """
    UPDATE journey_line AS l SET free_at = l.free_at - g.time
      FROM unnest(CAST(:journeys AS text[]), CAST(:nodes AS text[]), CAST(:times AS interval[]))
           AS g (journey, node, time)
     WHERE l.journey = g.journey AND l.node = g.node
    """
)
_LEAVE = text("DELETE FROM journey_line WHERE journey = :journey AND node = :node")

Line = tuple[str, str]
"""A journey and one of its nodes; without a node: its entrance."""


async def write(tx: Tx, runs: Mapping[UUID, Standing]) -> None:
    """Write the runs as they stand."""
    rows = [row_of(one) for _, one in sorted(runs.items())]
    if rows:
        await tx.execute(_WRITE, _columns(rows))


async def note(tx: Tx, notes: Sequence[RunNote]) -> None:
    """Add lines to the logs of runs, and count them."""
    if not notes:
        return
    lines = [
        (one.run, one.at, one.kind, one.node, one.occurrence, one.word[:MAX_WORD])
        for one in notes
        if one.run is not None
    ]
    if lines:
        await tx.execute(_LOG, _columns(lines))
    counts: Counter[tuple[Any, ...]] = Counter()
    for one in notes:
        for (node, kind, word), n in counts_of([one]).items():
            counts[(one.journey, node, kind, word[:MAX_WORD], one.at.date())] += n
    if counts:
        await tx.execute(_COUNT, _columns([(*place, n) for place, n in sorted(counts.items())]))


async def sum_up(tx: Tx) -> None:
    """Make one row of the counts that say the same of the newest day, or of the one before it:
    nothing is counted of earlier ones any more. Nothing happens while somebody else does it."""
    await tx.execute(_SUM_UP)


async def read_past(
    tx: Tx, histories: Mapping[str, History], ids: Collection[str], journeys: Collection[str]
) -> None:
    """The runs of these persons in these journeys that are over, and matter no more."""
    given = {"ids": list(ids), "journeys": sorted(journeys)}
    for row in await tx.execute(_PAST, given):
        if not row.watching:
            histories[row.profile_id].past_runs.append(run_decoder.decode(row.state))


async def person_of(tx: Tx, run_id: UUID) -> str | None:
    """The profile that stands for the person of a run; None when there is no such run."""
    found: str | None = (await tx.execute(_PERSON, {"id": run_id})).scalar()
    return found


async def take_places(
    tx: Tx, wanted: Iterable[tuple[Line, timedelta]], at: datetime
) -> dict[Line, datetime]:
    """Take so many places in lines: for each line the first of them; the others follow it, one
    interval apart. Whoever comes later waits until this transaction is over."""
    counts: Counter[Line] = Counter()
    intervals: dict[Line, timedelta] = {}
    for line, interval in wanted:
        counts[line] += 1
        intervals[line] = interval
    lines = sorted(counts)
    rows = await tx.execute(
        _TAKE,
        {
            "at": at,
            "journeys": [journey for journey, _ in lines],
            "nodes": [node for _, node in lines],
            "steps": [intervals[line] for line in lines],
            "wanted": [counts[line] for line in lines],
        },
    )
    return {
        (row.journey, row.node): row.free_at
        - intervals[(row.journey, row.node)] * counts[(row.journey, row.node)]
        for row in rows
    }


async def give_back(tx: Tx, lines: Mapping[Line, timedelta]) -> None:
    """Nobody stands at the end of lines, for so long, of which places were just taken: who comes
    next has them."""
    given = {
        "journeys": [journey for journey, _ in lines],
        "nodes": [node for _, node in lines],
        "times": list(lines.values()),
    }
    if lines:
        await tx.execute(_GIVE_BACK, given)


async def empty_line(tx: Tx, line: Line) -> None:
    """Nobody stands in a line any more: who comes next has the first place."""
    journey, node = line
    await tx.execute(_LEAVE, {"journey": journey, "node": node})


MAX_WORD = 300
COLUMNS = (
    *("id", "profile_id", "home", "journey", "version", "key", "node", "occurrence", "status"),
    *("reason", "entered_at", "since", "wakes_at", "ended_at", "gen", "paused", "watching"),
    *("goal_at", "goal_happened_at", "goal_within", "state", "cause"),
)


def row_of(one: Standing) -> tuple[Any, ...]:
    """A run as it stands, as its row: values of COLUMNS."""
    run = one.run
    within = None
    if run.goal_at is not None and run.goal_until is not None:
        within = run.goal_until - run.entered_at
    return (
        run.id, run.profile_id, run.home, run.journey, run.version, run.key, run.node,
        run.occurrence, run.status, run.reason, run.entered_at, run.since, run.wakes_at,
        run.ended_at, run.gen, run.paused, one.watching, run.goal_at, run.goal_happened_at, within,
        run_encoder.encode(run), one.cause,
    )  # fmt: skip


def _columns(rows: Sequence[tuple[Any, ...]]) -> dict[str, list[Any]]:
    return {f"c{place}": list(column) for place, column in enumerate(zip(*rows, strict=True))}
