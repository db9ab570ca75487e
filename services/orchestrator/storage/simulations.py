"""Simulations as stored: asked for, claimed by one process, told how far they are, found out.

A claim lasts CLAIM_SECONDS of real time unless it is kept; each claim has a number (`attempt`), by
which a process that lost it is kept from writing.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

CLAIM_SECONDS = 15
MAX_CRASHES = 5
MAX_KEPT = 200
"""So many are kept; of those that are over the oldest go first."""

_COLUMNS = """id, kind, key, from_at, to_at, warm_at, status, warnings, done, total, counts,
              changed_total, digest, problem, requested_by_name, requested_at, started_at,
              finished_at, attempt, crashes, personal"""


class Simulation(NamedTuple):
    """One simulation. `done` of `total` records were gone through; `warnings` and `counts` are
    JSON. `personal`: the draft asks for personal data, so its result is."""

    id: UUID
    kind: str
    key: str
    from_at: datetime
    to_at: datetime
    warm_at: datetime
    status: str
    warnings: str
    done: int
    total: int
    counts: str | None
    changed_total: int | None
    digest: str | None
    problem: str | None
    requested_by_name: str
    requested_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    attempt: int
    crashes: int
    personal: bool


class Asked(NamedTuple):
    """What somebody asks for."""

    id: UUID
    kind: str
    key: str
    from_at: datetime
    to_at: datetime
    warm_at: datetime
    inputs: bytes
    warnings: str
    personal: bool


class Found(NamedTuple):
    """What a simulation found: JSON, and each person that it names with JSON."""

    counts: str
    changed_total: int
    digest: str
    changed: Sequence[tuple[str, str]]


_LOCK = text("SELECT pg_advisory_xact_lock(hashtext('simulation'))")
_WAITING = text("SELECT count(*) FROM simulation WHERE status IN ('queued', 'running')")
_INSERT = text(
    f"""
    INSERT INTO simulation (id, kind, key, from_at, to_at, warm_at, inputs, warnings,
                            personal, requested_by, requested_by_name, requested_at)
    VALUES (:id, :kind, :key, :from_at, :to_at, :warm_at, :inputs, :warnings, :personal, :who,
            :who_name, clock_timestamp())
    RETURNING {_COLUMNS}
    """  # noqa: S608 - names of ours
)
_DROP_OLD = text(
    f"""
    DELETE FROM simulation WHERE status NOT IN ('queued', 'running') AND id IN (
        SELECT id FROM simulation ORDER BY requested_at DESC, id DESC OFFSET {MAX_KEPT})
    """  # noqa: S608 - a number of ours
)


async def waiting(tx: AsyncConnection) -> int:
    """How many wait or run; until the transaction ends nobody else asks for one."""
    await tx.execute(_LOCK)
    count: int = (await tx.execute(_WAITING)).scalar_one()
    return count


async def insert(tx: AsyncConnection, asked: Asked, *, who: str, who_name: str) -> Simulation:
    """Ask for a simulation."""
    values = {**asked._asdict(), "who": who, "who_name": who_name}
    row = (await tx.execute(_INSERT, values)).one()
    await tx.execute(_DROP_OLD)
    return Simulation(*row)


_ONE = text(f"SELECT {_COLUMNS} FROM simulation WHERE id = :id")  # noqa: S608 - names of ours
_CHANGED = text("SELECT body FROM simulation_change WHERE simulation = :id ORDER BY place")
_PAGE = text(
    f"""
    SELECT {_COLUMNS} FROM simulation
     WHERE (CAST(:at AS timestamptz) IS NULL OR (requested_at, id) < (:at, :id))
     ORDER BY requested_at DESC, id DESC LIMIT :limit
    """  # noqa: S608 - names of ours
)


async def find(tx: AsyncConnection, id_: UUID) -> Simulation | None:
    """The simulation with an id."""
    return _row((await tx.execute(_ONE, {"id": id_})).one_or_none())


async def changed(tx: AsyncConnection, id_: UUID) -> list[str]:
    """The people that a simulation names, as JSON."""
    return list((await tx.execute(_CHANGED, {"id": id_})).scalars())


async def page(
    tx: AsyncConnection, *, after: tuple[datetime, UUID] | None, limit: int
) -> list[Simulation]:
    """The newest first, behind `after`."""
    at, id_ = (None, None) if after is None else after
    rows = await tx.execute(_PAGE, {"at": at, "id": id_, "limit": limit})
    return [Simulation(*row) for row in rows]


_CANCEL = text(
    f"""
    UPDATE simulation
       SET status = 'cancelled', inputs = NULL, claimed_until = NULL,
           finished_at = clock_timestamp()
     WHERE id = :id AND status IN ('queued', 'running')
    RETURNING {_COLUMNS}
    """  # noqa: S608 - names of ours
)


async def cancel(tx: AsyncConnection, id_: UUID) -> Simulation | None:
    """Let a simulation be over; None when it is, or when there is none."""
    return _row((await tx.execute(_CANCEL, {"id": id_})).one_or_none())


_CLAIM = text(
    f"""
    UPDATE simulation
       SET status = 'running', member = :member, attempt = attempt + 1, done = 0, total = 0,
           crashes = crashes + CASE WHEN status = 'running' THEN 1 ELSE 0 END,
           started_at = coalesce(started_at, clock_timestamp()),
           claimed_until = clock_timestamp() + make_interval(secs => {CLAIM_SECONDS})
     WHERE id = (
           SELECT id FROM simulation
            WHERE status = 'queued'
               OR status = 'running' AND (claimed_until < clock_timestamp() OR member = :member)
            ORDER BY requested_at, id LIMIT 1 FOR UPDATE SKIP LOCKED)
    RETURNING {_COLUMNS}, inputs
    """  # noqa: S608 - names of ours
)


async def claim(tx: AsyncConnection, member: str) -> tuple[Simulation, bytes] | None:
    """The simulation that waits longest, or whose process fell silent or was this one before it
    ended; with its inputs."""
    row = (await tx.execute(_CLAIM, {"member": member})).one_or_none()
    return None if row is None else (Simulation(*row[:-1]), row[-1])


_KEEP = text(
    f"""
    UPDATE simulation
       SET done = :done, total = :total,
           claimed_until = clock_timestamp() + make_interval(secs => {CLAIM_SECONDS})
     WHERE id = :id AND attempt = :attempt AND status = 'running'
    """  # noqa: S608 - a number of ours
)


async def keep(tx: AsyncConnection, one: Simulation, *, done: int, total: int) -> bool:
    """Keep the claim and tell how far it is; False if it was cancelled, or is another's by now."""
    values = {"id": one.id, "attempt": one.attempt, "done": done, "total": total}
    return (await tx.execute(_KEEP, values)).rowcount == 1


_GIVE_BACK = text(
    """
    UPDATE simulation SET status = 'queued', claimed_until = NULL
     WHERE id = :id AND attempt = :attempt AND status = 'running'
    """
)


async def give_back(tx: AsyncConnection, one: Simulation) -> None:
    """Let another process begin it anew at once: this one cannot go on."""
    await tx.execute(_GIVE_BACK, {"id": one.id, "attempt": one.attempt})


_END = text(
    """
    UPDATE simulation
       SET status = :status, problem = :problem, counts = :counts, changed_total = :changed_total,
           digest = :digest, inputs = NULL, claimed_until = NULL,
           finished_at = clock_timestamp()
     WHERE id = :id AND attempt = :attempt AND status = 'running'
    """
)
# Whoever is being erased is waited for, or waits and then deletes what is written here.
_HOLD = text(
    """
    SELECT FROM profile_state WHERE profile_id = ANY(CAST(:people AS uuid[]))
     ORDER BY profile_id FOR SHARE
    """
)
_CHANGES = text(
    """
    INSERT INTO simulation_change (simulation, place, profile_id, body)
    SELECT :id, place, profile_id, body
      FROM unnest(CAST(:people AS uuid[]), CAST(:bodies AS text[])) WITH ORDINALITY
           AS t (profile_id, body, place)
     WHERE NOT EXISTS (SELECT FROM profile_state AS s
                        WHERE s.profile_id = t.profile_id AND s.erased)
    """
)


async def complete(tx: AsyncConnection, one: Simulation, found: Found) -> bool:
    """It is completed; False, and nothing is written, if it is another's by now."""
    values = _end_of(one, "completed") | {
        "counts": found.counts,
        "changed_total": found.changed_total,
        "digest": found.digest,
    }
    if (await tx.execute(_END, values)).rowcount != 1:
        return False
    people = [who for who, _ in found.changed]
    bodies = [body for _, body in found.changed]
    await tx.execute(_HOLD, {"people": people})
    await tx.execute(_CHANGES, {"id": one.id, "people": people, "bodies": bodies})
    return True


async def fail(tx: AsyncConnection, one: Simulation, problem: str) -> None:
    """It failed with a problem; nothing if it is another's by now."""
    await tx.execute(_END, _end_of(one, "failed") | {"problem": problem})


_ERASED = text(
    """
    WITH RECURSIVE gone (id) AS (
        SELECT profile_id FROM profile_state WHERE erased
        UNION
        SELECT s.profile_id FROM gone JOIN profile_state AS s ON s.merged_into = gone.id
    )
    SELECT id::text FROM gone
    """
)


async def erased(tx: AsyncConnection) -> set[str]:
    """Everybody who was erased, and who was merged into them."""
    return set((await tx.execute(_ERASED)).scalars())


def _end_of(one: Simulation, status: str) -> dict[str, Any]:
    nothing = dict.fromkeys(("problem", "counts", "changed_total", "digest"))
    return {"id": one.id, "attempt": one.attempt, "status": status, **nothing}


def _row(row: Row[Any] | None) -> Simulation | None:
    return None if row is None else Simulation(*tuple(row))
