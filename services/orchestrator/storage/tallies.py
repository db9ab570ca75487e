"""Counts what became of exposed people, by arm: sums alone, made by the database.

Of a metric those count whose window is over at an instant. What counts came after the exposure: its
update has the greater number, where both were told of one profile, and it did not happen before.
"""

from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.orchestrator.domain.experiments.experiment import Metric
from services.orchestrator.domain.experiments.tally import Tally

_EXPOSED = text(
    """
    SELECT arm, count(*) FILTER (WHERE NOT mixed) AS counted, count(*) FILTER (WHERE mixed) AS mixed
      FROM exposure WHERE experiment = :experiment AND phase = :phase AND at <= :until GROUP BY arm
    """
)
_TALLY = text(
    """
    WITH people AS (
        SELECT profile_id, arm, at, seq, of FROM exposure
         WHERE experiment = :experiment AND phase = :phase AND NOT mixed
           AND at <= CAST(:until AS timestamptz) - CAST(:window AS interval)
    ), counted AS (
        SELECT p.profile_id, p.arm,
               count(o.value) FILTER (WHERE o.after) AS n,
               coalesce(sum(o.value) FILTER (WHERE o.after), 0) AS total,
               count(o.value) FILTER (WHERE NOT o.after) AS n_before,
               coalesce(sum(o.value) FILTER (WHERE NOT o.after), 0) AS total_before
          FROM people AS p LEFT JOIN LATERAL (
               SELECT o.value, o.at >= p.at AS after FROM experiment_outcome AS o
                WHERE o.profile_id = p.profile_id AND o.experiment = :experiment
                  AND o.metric = :metric
                  AND (o.at >= p.at AND o.at < p.at + CAST(:window AS interval)
                       AND (o.of <> p.of OR o.seq > p.seq)
                    OR o.at < p.at AND o.at >= p.at - CAST(:before AS interval))) AS o ON true
         GROUP BY p.profile_id, p.arm
    ), each AS (
        SELECT arm, least(made.y, :cap) AS y, least(made.x, :cap) AS x
          FROM counted, LATERAL (
               SELECT CASE :kind WHEN 'conversion' THEN (n > 0)::integer WHEN 'count' THEN n
                                 ELSE total END::double precision AS y,
                      CASE :kind WHEN 'conversion' THEN (n_before > 0)::integer
                                 WHEN 'count' THEN n_before ELSE total_before
                       END::double precision AS x) AS made
    )
    SELECT arm, count(*) AS n, sum(y) AS total, sum(y * y) AS squares, sum(x) AS before,
           sum(x * x) AS before_squares, sum(x * y) AS products
      FROM each GROUP BY arm
    """
)


_FIRST = text("SELECT min(at) FROM exposure WHERE experiment = :experiment AND phase = :phase")


class Exposed(NamedTuple):
    """How many people there are in each arm, and how many are left out for being in two."""

    counted: dict[str, int]
    mixed: int


async def exposed(tx: AsyncConnection, name: str, phase: int, until: datetime) -> Exposed:
    """The people who were exposed first in a phase, until an instant."""
    values = {"experiment": name, "phase": phase, "until": until}
    rows = (await tx.execute(_EXPOSED, values)).all()
    return Exposed(
        {row.arm: row.counted for row in rows if row.counted}, sum(row.mixed for row in rows)
    )


async def first_exposed(tx: AsyncConnection, name: str, phase: int) -> datetime | None:
    """When anybody was exposed first in a phase."""
    found: datetime | None = (
        await tx.execute(_FIRST, {"experiment": name, "phase": phase})
    ).scalar_one()
    return found


async def tallies(
    tx: AsyncConnection, name: str, phase: int, metric: Metric, until: datetime
) -> dict[str, Tally]:
    """The tally of each arm for a metric."""
    rows = await tx.execute(
        _TALLY,
        {
            "experiment": name,
            "phase": phase,
            "metric": metric.key,
            "until": until,
            "window": metric.window,
            "before": metric.before or metric.window * 0,
            "cap": metric.cap,
            "kind": metric.kind,
        },
    )
    return {row.arm: _tally(row, known=metric.before is not None) for row in rows}


def _tally(row: Row[Any], *, known: bool) -> Tally:
    if not known:
        return Tally(row.n, row.total, row.squares)
    return Tally(
        n=row.n,
        total=row.total,
        squares=row.squares,
        known=row.n,
        before=row.before,
        before_squares=row.before_squares,
        products=row.products,
        total_known=row.total,
    )
