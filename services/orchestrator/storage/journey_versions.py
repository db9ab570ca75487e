"""The versions of journeys that are in force, as stored."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby

import orjson
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.orchestrator.domain.journeys.in_force import Publication, in_force
from shared.postgres.drafts import Status, Version

# A process may be behind by seconds; an hour is much more than that.
_PUBLICATIONS = text(
    """
    SELECT v.key, v.version, j.status, s.enters_from, s.winners::text AS winners,
           COALESCE(v.body ->> 'version_policy' = 'follow_live', false) AS follows,
           NOT EXISTS (
               SELECT FROM journey_leaf AS l
                WHERE l.journey = v.key AND l.version = v.version AND NOT l.ready
           ) AS ready,
           EXISTS (
               SELECT FROM journey_run AS r
                WHERE r.journey = v.key AND r.version = v.version AND r.watching
           ) AS has_runs,
           COALESCE(
               lead(v.published_at) OVER (PARTITION BY v.key ORDER BY v.version), j.updated_at
           ) > now() - interval '1 hour' AS is_recent
      FROM journey_version AS v
      JOIN journey AS j USING (key)
      LEFT JOIN journey_state AS s ON s.journey = v.key
     ORDER BY v.key, v.version
    """
)
_BODIES = text(
    """
    SELECT v.key, v.version, v.body::text AS body, v.published_at, v.published_by
      FROM unnest(CAST(:keys AS text[]), CAST(:versions AS integer[])) AS w (key, version)
      JOIN journey_version AS v USING (key, version)
     ORDER BY v.key, v.version
    """
)


@dataclass(frozen=True, slots=True)
class StoredJourney:
    """A journey in force: the version that people enter (None: nobody may), every version that
    runs go by, whether no run takes a step, and the arms that won by the nodes of experiments."""

    key: str
    entering: int | None
    paused: bool
    winners: dict[str, str]
    versions: list[Version] = field(default_factory=list)


async def load(tx: AsyncConnection) -> list[StoredJourney]:
    """Every journey that lets people in or may have runs, by key."""
    found: dict[str, StoredJourney] = {}
    wanted: list[tuple[str, int]] = []
    for key, rows in groupby(await tx.execute(_PUBLICATIONS), key=lambda row: row.key):
        stored, versions = _in_force(list(rows))
        if versions:
            found[key] = stored
            wanted += ((key, version) for version in versions)
    values = {"keys": [key for key, _ in wanted], "versions": [number for _, number in wanted]}
    for row in await tx.execute(_BODIES, values) if wanted else ():
        found[row.key].versions.append(
            Version(
                row.key, row.version, orjson.loads(row.body), row.published_at, row.published_by
            )
        )
    return list(found.values())


def _in_force(rows: Sequence[Row[tuple[object, ...]]]) -> tuple[StoredJourney, tuple[int, ...]]:
    first = rows[0]
    publications = [
        Publication(row.version, row.follows, row.ready, row.has_runs, row.is_recent)
        for row in rows
    ]
    now = in_force(
        publications,
        enters_from=first.enters_from or 1,
        is_over=first.status == Status.ARCHIVED,
    )
    stored = StoredJourney(
        key=first.key,
        entering=now.entering,
        paused=first.status == Status.PAUSED,
        winners=orjson.loads(first.winners or "{}"),
    )
    return stored, now.versions
