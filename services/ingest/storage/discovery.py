"""Event types and properties that were seen: written by the workers, read by people.

The limits hold over all workers and restarts, because one transaction at a time writes.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.ingest.domain.discovery import MAX_PROPERTIES_PER_TYPE, MAX_TYPES_PER_SOURCE, Seen

ONE_AT_A_TIME = text("SELECT pg_advisory_xact_lock(hashtext('concert.ingest.discovery'))")

WRITE_TYPES = text("""
WITH given AS (
    SELECT * FROM unnest(CAST(:sources AS text[]), CAST(:types AS text[]),
                         CAST(CAST(:firsts AS text[]) AS timestamptz[]),
                         CAST(CAST(:lasts AS text[]) AS timestamptz[]), CAST(:counts AS bigint[]))
        AS each (source, type, first_seen, last_seen, count)
), known AS (
    UPDATE discovered_type
       SET first_seen = least(discovered_type.first_seen, given.first_seen),
           last_seen = greatest(discovered_type.last_seen, given.last_seen),
           count = discovered_type.count + given.count
      FROM given
     WHERE discovered_type.source = given.source AND discovered_type.type = given.type
    RETURNING discovered_type.source, discovered_type.type
), fresh AS (
    SELECT given.*, row_number() OVER (PARTITION BY source ORDER BY given.first_seen, type) AS place
      FROM given LEFT JOIN known USING (source, type) WHERE known.type IS NULL
)
INSERT INTO discovered_type (source, type, first_seen, last_seen, count)
SELECT source, type, first_seen, last_seen, count FROM fresh
 WHERE place + (SELECT count(*) FROM discovered_type before WHERE before.source = fresh.source)
       <= :most
""")

WRITE_PROPERTIES = text("""
WITH given AS (
    SELECT each.* FROM unnest(CAST(:sources AS text[]), CAST(:types AS text[]),
                              CAST(:paths AS text[]), CAST(:json_types AS text[]),
                              CAST(CAST(:firsts AS text[]) AS timestamptz[]))
        AS each (source, type, path, json_type, first_seen)
      JOIN discovered_type USING (source, type)
), known AS (
    SELECT DISTINCT source, type, path FROM discovered_property
     WHERE (source, type) IN (SELECT source, type FROM given)
), fresh AS (
    SELECT source, type, path, row_number() OVER (PARTITION BY source, type ORDER BY path)
           + (SELECT count(*) FROM known
               WHERE known.source = unlisted.source AND known.type = unlisted.type) AS place
      FROM (SELECT source, type, path FROM given
            EXCEPT SELECT source, type, path FROM known) unlisted
)
INSERT INTO discovered_property (source, type, path, json_type, first_seen)
SELECT source, type, path, json_type, given.first_seen
  FROM given LEFT JOIN fresh USING (source, type, path)
 WHERE fresh.place IS NULL OR fresh.place <= :most
ON CONFLICT DO NOTHING
""")

PAGE = text("""
SELECT source, type, first_seen, last_seen, count AS events, live_version AS schema_version
  FROM discovered_type LEFT JOIN event_schema ON event_schema.key = discovered_type.type
 WHERE (CAST(:source AS text) IS NULL OR source = :source)
   AND (source, type) > (:after_source, :after_type)
 ORDER BY source, type LIMIT :limit
""")

PROPERTIES = text("""
SELECT source, type, path, array_agg(json_type ORDER BY json_type) AS types,
       min(first_seen) AS first_seen
  FROM discovered_property
  JOIN unnest(CAST(:sources AS text[]), CAST(:types AS text[])) AS each (source, type)
       USING (source, type)
 GROUP BY source, type, path ORDER BY source, type, path
""")


class DiscoveredType(NamedTuple):
    """An event type of a source; `events` is close to how many there were."""

    source: str
    type: str
    first_seen: datetime
    last_seen: datetime
    events: int
    schema_version: int | None


class DiscoveredProperty(NamedTuple):
    """A property of a type's events, with the JSON types it had."""

    path: str
    types: list[str]
    first_seen: datetime


async def write(tx: AsyncConnection, seen: Seen) -> None:
    """Add what was seen, as far as the limits allow."""
    await tx.execute(ONE_AT_A_TIME)
    if seen.types:
        values: dict[str, Any] = {
            "sources": [each.source for each in seen.types],
            "types": [each.type for each in seen.types],
            "firsts": [each.first_seen for each in seen.types],
            "lasts": [each.last_seen for each in seen.types],
            "counts": [each.events for each in seen.types],
            "most": MAX_TYPES_PER_SOURCE,
        }
        await tx.execute(WRITE_TYPES, values)
    if seen.properties:
        values = {
            "sources": [each.source for each in seen.properties],
            "types": [each.type for each in seen.properties],
            "paths": [each.path for each in seen.properties],
            "json_types": [each.json_type for each in seen.properties],
            "firsts": [each.first_seen for each in seen.properties],
            "most": MAX_PROPERTIES_PER_TYPE,
        }
        await tx.execute(WRITE_PROPERTIES, values)


async def page(
    tx: AsyncConnection, *, source: str | None, after: tuple[str, str], limit: int
) -> Sequence[DiscoveredType]:
    """Types of one source or of all, in the order of (source, type), behind `after`."""
    values = {
        "source": source,
        "after_source": after[0],
        "after_type": after[1],
        "limit": limit,
    }
    return [DiscoveredType(*row) for row in await tx.execute(PAGE, values)]


async def properties(
    tx: AsyncConnection, types: Sequence[DiscoveredType]
) -> dict[tuple[str, str], list[DiscoveredProperty]]:
    """The properties of each type, by path."""
    values = {"sources": [each.source for each in types], "types": [each.type for each in types]}
    found: dict[tuple[str, str], list[DiscoveredProperty]] = {}
    for row in await tx.execute(PROPERTIES, values):
        known = found.setdefault((row.source, row.type), [])
        known.append(DiscoveredProperty(row.path, list(row.types), row.first_seen))
    return found
