"""What all runs of a journey are to be told, one bunch after the other: where each sweep stands."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal
from uuid import UUID

from sqlalchemy import text

from shared.postgres.transaction import Tx

SweepKind = Literal["edited", "resumed", "stopped"]

_ADD = text(
    """
    INSERT INTO run_sweep (journey, kind, step, epoch)
    SELECT :journey, :kind, CAST(:step AS interval), epoch FROM config_epoch
    """
)
_NEXT = text(
    """
    SELECT id, journey, kind, step, after FROM run_sweep
     WHERE not_before <= now() AND epoch <= :epoch ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED
    """
)
_MOVE = text("UPDATE run_sweep SET after = :after, done = done + :count WHERE id = :id")
_POSTPONE = text(
    """
    UPDATE run_sweep SET not_before = now() + interval '5 minutes'
     WHERE id = (SELECT id FROM run_sweep WHERE not_before <= now() ORDER BY id LIMIT 1)
    """
)
_END = text("DELETE FROM run_sweep WHERE id = :id")
_RUNS = text(
    """
    SELECT id, profile_id::text FROM journey_run
     WHERE journey = :journey AND status IN ('active', 'waiting') AND id > :after
     ORDER BY id LIMIT :limit
    """
)
_OPEN = text("SELECT kind, done FROM run_sweep WHERE journey = :journey ORDER BY id")
FIRST = UUID(int=0)


@dataclass(frozen=True, slots=True)
class Sweep:
    """Tells the runs of a journey something; `after` is the last run that was told. `step` is the
    time from one run to the next, where they are to go on one by one."""

    id: int
    journey: str
    kind: SweepKind
    step: timedelta | None
    after: UUID


async def add(tx: Tx, journey: str, kind: SweepKind, step: timedelta | None = None) -> None:
    """Have all runs of a journey told something, by who knows the present configuration: what
    `tx` changes of that has to be said, as the next epoch, before."""
    await tx.execute(_ADD, {"journey": journey, "kind": kind, "step": step})


async def claim(tx: Tx, epoch: int) -> Sweep | None:
    """The first sweep that nobody is at, locked, for who knows the configuration of an epoch: who
    does not know of a publication, or of the end of a pause, cannot tell anybody."""
    row = (await tx.execute(_NEXT, {"epoch": epoch})).first()
    return None if row is None else Sweep(row.id, row.journey, row.kind, row.step, row.after)


async def next_runs(tx: Tx, sweep: Sweep, limit: int) -> list[tuple[UUID, str]]:
    """The next runs, with the profiles that stand for their people at this moment."""
    given = {"journey": sweep.journey, "after": sweep.after, "limit": limit}
    return [(row.id, row.profile_id) for row in await tx.execute(_RUNS, given)]


async def move(tx: Tx, sweep: Sweep, after: UUID, count: int) -> None:
    """So many more were told, up to this one."""
    await tx.execute(_MOVE, {"id": sweep.id, "after": after, "count": count})


async def end(tx: Tx, sweep: Sweep) -> None:
    """All were told."""
    await tx.execute(_END, {"id": sweep.id})


async def postpone_first(tx: Tx) -> None:
    """Put the first sweep off by five minutes: it cannot go on, and others wait behind it."""
    await tx.execute(_POSTPONE)


async def under_way(tx: Tx, journey: str) -> list[tuple[SweepKind, int]]:
    """The sweeps of a journey that are not over, with how many runs were told."""
    return [(row.kind, row.done) for row in await tx.execute(_OPEN, {"journey": journey})]
