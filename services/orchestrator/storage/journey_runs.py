"""Runs of journeys as people look at them: where they stand, what happened, how many there are."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.orchestrator.domain.run import Run
from services.orchestrator.storage.runs import run_decoder

Place = tuple[int, str | None]
"""A version, and the node on which runs of it stand; None: before the first one."""

MOST_STUCK = 10_000
STUCK_AFTER = timedelta(minutes=5)
"""A run that should have woken so long ago does not go on by itself."""

_COLUMNS = """
    id, profile_id, journey, version, key, node, occurrence, status, reason, entered_at, since,
    wakes_at, ended_at, paused, (
        status IN ('active', 'waiting')
        AND (wakes_at IS NULL OR wakes_at < (SELECT clock.now()) - CAST(:late AS interval))
    ) AS stuck
"""
_FILTER = """
    journey = :journey
    AND (CAST(:status AS text) IS NULL OR status = :status)
    AND (CAST(:node AS text) IS NULL OR node = :node)
    AND (CAST(:version AS integer) IS NULL OR version = :version)
    AND (CAST(:profile_ids AS uuid[]) IS NULL OR profile_id = ANY(:profile_ids))
    AND (NOT CAST(:stuck AS boolean) OR (
        status IN ('active', 'waiting')
        AND (wakes_at IS NULL OR wakes_at < (SELECT clock.now()) - CAST(:late AS interval))
    ))
"""
_STUCK = text(
    """
    SELECT count(*) FROM (
        SELECT FROM journey_run
         WHERE status IN ('active', 'waiting')
           AND wakes_at < (SELECT clock.now()) - CAST(:late AS interval) LIMIT :most) AS late
    """
)
_PLACES = text(
    """
    SELECT version, node, count(*) AS runs FROM journey_run
     WHERE journey = :journey AND status IN ('active', 'waiting')
     GROUP BY version, node
    """
)
_PAGE = text(
    f"""
    SELECT {_COLUMNS} FROM journey_run
     WHERE {_FILTER}
       AND (entered_at, id) < (CAST(:at AS timestamptz), CAST(:id AS uuid))
     ORDER BY entered_at DESC, id DESC LIMIT :limit
    """  # noqa: S608 - constants
)
_UNDER_WAY = text(
    f"""
    SELECT {_COLUMNS} FROM journey_run
     WHERE {_FILTER} AND status IN ('active', 'waiting') AND id > CAST(:id AS uuid)
     ORDER BY id LIMIT :limit
    """  # noqa: S608 - constants
)
_COUNT_UNDER_WAY = text(
    f"""
    SELECT version, node, count(*) AS runs FROM journey_run
     WHERE {_FILTER} AND status IN ('active', 'waiting') GROUP BY version, node
    """  # noqa: S608 - constants
)
_ONE = text(f"SELECT {_COLUMNS}, state FROM journey_run WHERE id = :id")  # noqa: S608 - constants
_LOG = text(
    """
    SELECT n, at, kind, node, occurrence, word FROM run_log
     WHERE run = :run AND n < :before ORDER BY n DESC LIMIT :limit
    """
)
_COUNTS = text(
    """
    SELECT node, kind, word, sum(n)::bigint AS n FROM journey_count
     WHERE journey = :journey
       AND (CAST(:first AS date) IS NULL OR day >= :first)
       AND (CAST(:last AS date) IS NULL OR day <= :last)
     GROUP BY node, kind, word
    """
)


@dataclass(frozen=True, slots=True)
class StoredRun:
    """A run as it stands now; `stuck`: its time is over and nothing happens."""

    id: UUID
    profile_id: UUID
    journey: str
    version: int
    key: str
    node: str | None
    occurrence: int
    status: str
    reason: str | None
    entered_at: datetime
    since: datetime | None
    wakes_at: datetime | None
    ended_at: datetime | None
    paused: bool
    stuck: bool

    @property
    def is_over(self) -> bool:
        """Whether no step will be taken any more."""
        return self.status in ("completed", "exited")


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a run's log."""

    n: int
    at: datetime
    kind: str
    node: str | None
    occurrence: int
    word: str


@dataclass(frozen=True, slots=True)
class Filter:
    """Which runs of a journey are meant; None is any."""

    status: str | None = None
    node: str | None = None
    version: int | None = None
    profile_ids: Sequence[UUID] | None = None
    stuck: bool = False

    def values(self, journey: str) -> dict[str, Any]:
        """What the statements are given."""
        return {
            "journey": journey,
            "status": self.status,
            "node": self.node,
            "version": self.version,
            "profile_ids": None if self.profile_ids is None else list(self.profile_ids),
            "stuck": self.stuck,
            "late": STUCK_AFTER,
        }


async def stuck(tx: AsyncConnection) -> int:
    """How many runs do not go on by themselves; at most MOST_STUCK are counted."""
    given = {"late": STUCK_AFTER, "most": MOST_STUCK}
    found: int = (await tx.execute(_STUCK, given)).scalar_one()
    return found


async def places(tx: AsyncConnection, journey: str) -> Counter[Place]:
    """How many runs under way stand where."""
    rows = await tx.execute(_PLACES, {"journey": journey})
    return Counter({(row.version, row.node): row.runs for row in rows})


async def page(
    tx: AsyncConnection, journey: str, which: Filter, *, before: tuple[datetime, UUID], limit: int
) -> list[StoredRun]:
    """At most `limit` runs behind `before` (entered_at, id), newest first."""
    values = which.values(journey) | {"at": before[0], "id": before[1], "limit": limit}
    return [_run(row) for row in await tx.execute(_PAGE, values)]


async def under_way(
    tx: AsyncConnection, journey: str, which: Filter, *, after: UUID, limit: int
) -> list[StoredRun]:
    """At most `limit` runs under way whose id sorts behind `after`, by id."""
    values = which.values(journey) | {"id": after, "limit": limit}
    return [_run(row) for row in await tx.execute(_UNDER_WAY, values)]


async def count_under_way(tx: AsyncConnection, journey: str, which: Filter) -> Counter[Place]:
    """How many runs under way are meant, by where they stand."""
    rows = await tx.execute(_COUNT_UNDER_WAY, which.values(journey))
    return Counter({(row.version, row.node): row.runs for row in rows})


async def find(tx: AsyncConnection, run_id: UUID) -> tuple[StoredRun, Run] | None:
    """One run, as it is listed and as the engine knows it."""
    row = (await tx.execute(_ONE, {"id": run_id, "late": STUCK_AFTER})).one_or_none()
    return None if row is None else (_run(row), run_decoder.decode(row.state))


async def log(tx: AsyncConnection, run_id: UUID, *, before: int, limit: int) -> list[Line]:
    """At most `limit` lines of a run's log with a number below `before`, newest first."""
    values = {"run": run_id, "before": before, "limit": limit}
    return [
        Line(row.n, row.at, row.kind, row.node, row.occurrence, row.word)
        for row in await tx.execute(_LOG, values)
    ]


async def counts(
    tx: AsyncConnection, journey: str, *, first: date | None = None, last: date | None = None
) -> Mapping[tuple[str, str, str], int]:
    """What was counted from the `first` day to the `last`, by node (empty: the whole journey), kind
    and word."""
    values = {"journey": journey, "first": first, "last": last}
    return {(row.node, row.kind, row.word): row.n for row in await tx.execute(_COUNTS, values)}


def _run(row: Row[Any]) -> StoredRun:
    return StoredRun(
        id=row.id,
        profile_id=row.profile_id,
        journey=row.journey,
        version=row.version,
        key=row.key,
        node=row.node,
        occurrence=row.occurrence,
        status=row.status,
        reason=row.reason,
        entered_at=row.entered_at,
        since=row.since,
        wakes_at=row.wakes_at,
        ended_at=row.ended_at,
        paused=row.paused,
        stuck=row.stuck,
    )
