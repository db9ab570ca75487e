"""Privacy requests: one row each, moved a step at a time.

Whoever moves one holds its row for as long as the step is a transaction; a step that asks another
service holds nothing, and may be done twice. `family` are the profiles that are erased, with those
that were merged into them; evidence up to the number `evidence_until` was decided before that.
`counts` are what was done in each store so far.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from sqlalchemy import text
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection


class Request(NamedTuple):
    """A row. `phase` is what is done next, `position` where in it."""

    id: str
    kind: str
    profiles: list[str]
    family: list[str]
    evidence_until: int
    suppress: bool
    status: str
    phase: str
    position: str
    counts: dict[str, int]
    requested_by: str
    requested_by_name: str
    requested_at: datetime
    started_at: datetime | None
    erased_at: datetime | None
    finished_at: datetime | None
    expires_at: datetime | None
    problem: str | None
    receipt: dict[str, Any] | None


_COLUMNS = """
    SELECT id::text, kind, profiles::text[] AS profiles,
           coalesce(family, '{}')::text[] AS family,
           coalesce(evidence_until, 0) AS evidence_until, suppress, status, phase, position,
           counts::text AS counts, requested_by, requested_by_name, requested_at, started_at,
           erased_at, finished_at, expires_at, problem, receipt::text AS receipt
      FROM privacy_request
"""
_INSERT = text(
    """
    INSERT INTO privacy_request
           (id, kind, profiles, suppress, requested_by, requested_by_name, requested_at, position)
    VALUES (CAST(:id AS uuid), :kind, CAST(:profiles AS uuid[]), :suppress, :who, :who_name,
            clock_timestamp(), :position)
    """
)
_TAKE = text(
    f"""
    {_COLUMNS} WHERE finished_at IS NULL AND (retry_at IS NULL OR retry_at <= clock_timestamp())
     ORDER BY requested_at, id LIMIT 1 FOR UPDATE SKIP LOCKED
    """
)
_LOCK = text(f"{_COLUMNS} WHERE id = CAST(:id AS uuid) FOR UPDATE")
_READ = text(f"{_COLUMNS} WHERE id = CAST(:id AS uuid)")
_OPEN_OF = text(
    f"""
    {_COLUMNS} WHERE kind = :kind AND finished_at IS NULL AND profiles = CAST(:profiles AS uuid[])
       AND (phase <> 'begin' OR position = '')
     LIMIT 1
    """
)
_SUPPRESS = text(
    """
    UPDATE privacy_request SET suppress = true WHERE id = CAST(:id AS uuid) AND phase = 'begin'
    """
)
_OPEN_BY = text(
    """
    SELECT EXISTS (SELECT FROM privacy_request WHERE finished_at IS NULL AND requested_by = :who)
    """
)
_PAGE = text(
    f"""
    {_COLUMNS} WHERE (requested_at, id) < (:before_at, CAST(:before_id AS uuid))
       AND (CAST(:profile AS uuid) IS NULL OR CAST(:profile AS uuid) = ANY (profiles || family))
     ORDER BY requested_at DESC, id DESC LIMIT :limit
    """
)
_MOVE = text(
    """
    UPDATE privacy_request
       SET phase = :phase, position = :position, counts = CAST(:counts AS jsonb),
           status = CASE WHEN status = 'pending' THEN 'running' ELSE status END,
           started_at = coalesce(started_at, clock_timestamp()), retry_at = NULL, problem = NULL
     WHERE id = CAST(:id AS uuid)
    """
)
_ERASED = text(
    """
    UPDATE privacy_request
       SET family = CAST(:family AS uuid[]), erased_at = :at, evidence_until = :until
     WHERE id = CAST(:id AS uuid)
    """
)
_FINISH = text(
    """
    UPDATE privacy_request
       SET status = :status, finished_at = clock_timestamp(), receipt = CAST(:receipt AS jsonb),
           started_at = coalesce(started_at, clock_timestamp()), retry_at = NULL,
           expires_at = clock_timestamp() + CAST(:seconds AS double precision) * interval '1 s',
           problem = :problem
     WHERE id = CAST(:id AS uuid)
    """
)
_LATER = text(
    """
    UPDATE privacy_request
       SET retry_at = clock_timestamp() + :seconds * interval '1 s', problem = :problem
     WHERE id = CAST(:id AS uuid) AND finished_at IS NULL
    """
)
_OPEN = text(
    """
    SELECT count(*) AS open,
           coalesce(extract(epoch FROM clock_timestamp() - min(requested_at)), 0)::float8 AS oldest
      FROM privacy_request WHERE finished_at IS NULL
    """
)


async def insert(
    tx: AsyncConnection,
    *,
    id_: str,
    kind: str,
    profiles: Sequence[str],
    suppress: bool,
    who: str,
    who_name: str,
    position: str = "",
) -> None:
    """Let a request wait for a sweeper; `position` is where its first step begins."""
    values = {"id": id_, "kind": kind, "profiles": profiles, "suppress": suppress}
    await tx.execute(_INSERT, values | {"who": who, "who_name": who_name, "position": position})


async def take(tx: AsyncConnection) -> Request | None:
    """The oldest open request that nobody else holds and that may be tried now."""
    return _request((await tx.execute(_TAKE)).one_or_none())


async def lock(tx: AsyncConnection, id_: str) -> Request | None:
    """One request, for as long as the transaction."""
    return _request((await tx.execute(_LOCK, {"id": id_})).one_or_none())


async def read(tx: AsyncConnection, id_: str) -> Request | None:
    """One request; None if there is none."""
    return _request((await tx.execute(_READ, {"id": id_})).one_or_none())


async def open_of(tx: AsyncConnection, kind: str, profile_id: str) -> Request | None:
    """The open request of this kind that names the profile and nobody else, and that does not
    depend on what is known of it when it begins."""
    values = {"kind": kind, "profiles": [profile_id]}
    return _request((await tx.execute(_OPEN_OF, values)).one_or_none())


async def suppress(tx: AsyncConnection, id_: str) -> bool:
    """Let a request that has not begun suppress for ever; False when it has begun. Waits for the
    step that it is in."""
    return (await tx.execute(_SUPPRESS, {"id": id_})).rowcount == 1


async def is_open_by(tx: AsyncConnection, who: str) -> bool:
    """Whether a request that this one asked for is open."""
    return (await tx.execute(_OPEN_BY, {"who": who})).scalar_one()  # type: ignore[no-any-return]


async def page(
    tx: AsyncConnection,
    *,
    profile_id: str | None,
    before: tuple[datetime, str],
    limit: int,
) -> list[Request]:
    """At most `limit` requests before (requested_at, id), the newest first."""
    values = {"profile": profile_id, "before_at": before[0], "before_id": before[1]}
    rows = await tx.execute(_PAGE, values | {"limit": limit})
    return [found for row in rows if (found := _request(row)) is not None]


async def move(
    tx: AsyncConnection, id_: str, *, phase: str, position: str, counts: Mapping[str, int]
) -> None:
    """Say what is done next, and what was done so far."""
    values = {"id": id_, "phase": phase, "position": position}
    await tx.execute(_MOVE, values | {"counts": orjson.dumps(counts).decode()})


async def erased(
    tx: AsyncConnection, id_: str, *, family: Sequence[str], at: datetime, until: int
) -> None:
    """Note which profiles are gone, since when, and the last number of evidence before that."""
    await tx.execute(_ERASED, {"id": id_, "family": family, "at": at, "until": until})


async def finish(
    tx: AsyncConnection,
    id_: str,
    *,
    receipt: Mapping[str, Any],
    seconds: float | None = None,
    problem: str | None = None,
) -> None:
    """End a request; its download, if it has one, can be had for so many `seconds`."""
    await tx.execute(
        _FINISH,
        {
            "id": id_,
            "status": "completed" if problem is None else "failed",
            "receipt": orjson.dumps(receipt).decode(),
            "seconds": seconds,
            "problem": problem,
        },
    )


async def later(tx: AsyncConnection, id_: str, *, seconds: float, problem: str) -> None:
    """Try again no sooner than in so many seconds; `problem` says why, without personal data."""
    await tx.execute(_LATER, {"id": id_, "seconds": seconds, "problem": problem[:500]})


async def open_requests(tx: AsyncConnection) -> tuple[int, float]:
    """How many requests wait or run, and the age of the oldest in seconds."""
    row = (await tx.execute(_OPEN)).one()
    return row.open, row.oldest


_FORGET_RECEIPTS = text(
    """
    DELETE FROM privacy_request WHERE id IN (
        SELECT id FROM privacy_request AS r
         WHERE finished_at < clock_timestamp() - :days * interval '1 day'
           AND NOT EXISTS (SELECT FROM privacy_export AS e WHERE e.request_id = r.id)
         LIMIT :limit)
    """
)


async def forget_receipts(tx: AsyncConnection, *, days: int, limit: int) -> int:
    """Delete requests that were finished so long ago, with their receipts; how many."""
    return (await tx.execute(_FORGET_RECEIPTS, {"days": days, "limit": limit})).rowcount


def _request(row: Row[Any] | None) -> Request | None:
    if row is None:
        return None
    values = row._asdict()
    values["counts"] = orjson.loads(values["counts"])
    values["receipt"] = None if values["receipt"] is None else orjson.loads(values["receipt"])
    return Request(**values)


NEWEST: tuple[datetime, str] = (
    datetime.fromisoformat("9999-12-31T23:59:59+00:00"),
    str(UUID(int=2**128 - 1)),
)
"""Before this, everything is."""
