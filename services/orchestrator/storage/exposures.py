"""Exposures of people to experiments, nodes and holdouts, and what counts for them.

The profiles must be locked. One row for each person and experiment: the first exposure.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.orchestrator.domain.experiments.experiment import KEPT
from services.orchestrator.domain.experiments.exposure import Exposure, firsts
from services.orchestrator.domain.experiments.measure import Measured
from shared.postgres.transaction import Tx

# Who is known to be in the arm is passed over: even an update that changes nothing locks the row,
# which is a write.
_EXPOSE = text(
    """
    INSERT INTO exposure (profile_id, experiment, arm, phase, at, seq, of, version, kind, place,
                          node, mixed)
    SELECT n.* FROM unnest(
        CAST(:c0 AS uuid[]), CAST(:c1 AS text[]), CAST(:c2 AS text[]), CAST(:c3 AS integer[]),
        CAST(:c4 AS timestamptz[]), CAST(:c5 AS bigint[]), CAST(:c6 AS uuid[]),
        CAST(:c7 AS integer[]), CAST(:c8 AS text[]), CAST(:c9 AS text[]), CAST(:c10 AS text[]),
        CAST(:c11 AS boolean[]))
        AS n (profile_id, experiment, arm, phase, at, seq, of, version, kind, place, node, mixed)
     WHERE NOT EXISTS (SELECT FROM exposure AS e
                        WHERE e.profile_id = n.profile_id AND e.experiment = n.experiment
                          AND (e.mixed OR (e.arm = n.arm AND NOT n.mixed)))
        ON CONFLICT (profile_id, experiment) DO UPDATE SET mixed = true
    """
)
# Who is not exposed yet is not counted, unless what was before the exposure is asked for too; also
# when both are of one batch.
_MEASURE = text(
    """
    INSERT INTO experiment_outcome (profile_id, experiment, metric, touchpoint_id, of, seq, at,
                                    value)
    SELECT n.profile_id, n.experiment, n.metric, n.touchpoint_id, n.of, n.seq, n.at, n.value
      FROM unnest(
        CAST(:c0 AS uuid[]), CAST(:c1 AS text[]), CAST(:c2 AS text[]), CAST(:c3 AS uuid[]),
        CAST(:c4 AS uuid[]), CAST(:c5 AS bigint[]), CAST(:c6 AS timestamptz[]),
        CAST(:c7 AS double precision[]), CAST(:c8 AS boolean[]))
        AS n (profile_id, experiment, metric, touchpoint_id, of, seq, at, value, always)
     WHERE n.always OR EXISTS (SELECT FROM exposure AS e
                                WHERE e.profile_id = n.profile_id AND e.experiment = n.experiment
                                  AND (e.of <> n.of OR e.seq < n.seq))
        ON CONFLICT (profile_id, experiment, metric, touchpoint_id) DO NOTHING
    """
)
KEPT_BEFORE = timedelta(days=100)
"""Longer than any metric looks back, of people who were never exposed."""
LOOKED_AT = timedelta(days=14)
"""For so long it is asked of a row whether its person was exposed: not of all of them for ever."""
_OLD_EXPOSURES = text(
    """
    DELETE FROM exposure WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM exposure WHERE at < :kept LIMIT :limit))
    """
)
_OLD_OUTCOMES = text(
    """
    DELETE FROM experiment_outcome WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM experiment_outcome WHERE at < :kept LIMIT :limit)
      || ARRAY(
        SELECT o.ctid FROM experiment_outcome AS o
         WHERE o.at < :unexposed AND o.at >= :looked_at
           AND NOT EXISTS (SELECT FROM exposure AS e
                            WHERE e.profile_id = o.profile_id AND e.experiment = o.experiment)
         LIMIT :limit))
    """
)


async def write(tx: Tx, exposures: Sequence[Exposure], measured: Sequence[Measured]) -> None:
    """Note exposures, the first of each person, then what counts; each in one statement, if any."""
    if exposures:
        await tx.execute(_EXPOSE, _columns([_exposure(one) for one in firsts(exposures)]))
    if measured:
        await tx.execute(_MEASURE, _columns([_outcome(one) for one in measured]))


async def drop_old(tx: AsyncConnection, now: datetime, limit: int) -> int:
    """Delete what no read-out needs any more; how many rows."""
    kept, unexposed = now - KEPT, now - KEPT_BEFORE
    old = {"kept": kept, "limit": limit}
    values = old | {"unexposed": unexposed, "looked_at": unexposed - LOOKED_AT}
    outcomes = await tx.execute(_OLD_OUTCOMES, values)
    return outcomes.rowcount + (await tx.execute(_OLD_EXPOSURES, old)).rowcount


def _exposure(one: Exposure) -> tuple[object, ...]:
    place = one.place
    return (
        one.profile_id, one.experiment, one.arm, one.phase, one.at, one.seq,
        one.of or one.profile_id, one.version, place.kind, place.key, place.node, one.mixed,
    )  # fmt: skip


def _outcome(one: Measured) -> tuple[object, ...]:
    told = one.told
    return (
        told.profile_id, one.source, one.metric, told.touchpoint_id, told.of, told.seq, told.at,
        one.value, one.always,
    )  # fmt: skip


def _columns(rows: Sequence[tuple[object, ...]]) -> dict[str, list[object]]:
    return {f"c{place}": list(column) for place, column in enumerate(zip(*rows, strict=True))}
