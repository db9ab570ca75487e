"""The event leaves of published journeys, and whether they are counted yet.

While one of a version's leaves is not, the version is warming: nobody is in it, and the one before
lets people in. Runs stay in earlier versions, so their leaves are kept.
"""

from collections.abc import Collection, Mapping
from typing import Any

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_INSERT = text(
    """
    INSERT INTO journey_leaf (journey, version, hash, leaf, ready)
    SELECT :journey, :version, hash, CAST(leaf AS jsonb), ready
      FROM unnest(CAST(:hashes AS text[]), CAST(:leaves AS text[]), CAST(:ready AS boolean[]))
           AS l (hash, leaf, ready)
    """
)
_UNREADY = text(
    """
    SELECT DISTINCT ON (hash) hash, leaf::text AS leaf FROM journey_leaf
     WHERE NOT ready ORDER BY hash, journey, version
    """
)
_READY = text(
    """
    WITH counted AS (
        UPDATE journey_leaf SET ready = true
         WHERE NOT ready AND hash = ANY(CAST(:hashes AS text[]))
        RETURNING journey, version, hash
    )
    SELECT DISTINCT journey FROM counted AS c
     WHERE NOT EXISTS (
        SELECT FROM journey_leaf AS l
         WHERE l.journey = c.journey AND l.version = c.version AND NOT l.ready
           AND l.hash <> ALL(CAST(:hashes AS text[]))
     )
     ORDER BY journey
    """
)
_IS_WARMING = text(
    """
    SELECT EXISTS (
        SELECT FROM journey AS j JOIN journey_leaf AS l
            ON l.journey = j.key AND l.version = j.live_version
         WHERE j.key = :journey AND NOT l.ready
    )
    """
)


async def put(
    tx: AsyncConnection,
    journey: str,
    version: int,
    leaves: Mapping[str, Mapping[str, Any]],
    ready: Mapping[str, bool],
) -> None:
    """The leaves (JSON) by hash of a version that is just published."""
    names = sorted(leaves)
    values = {
        "journey": journey,
        "version": version,
        "hashes": names,
        "leaves": [orjson.dumps(leaves[name]).decode() for name in names],
        "ready": [ready[name] for name in names],
    }
    await tx.execute(_INSERT, values)


async def is_warming(tx: AsyncConnection, journey: str) -> bool:
    """Whether the live version of a journey waits for its leaves."""
    return bool((await tx.execute(_IS_WARMING, {"journey": journey})).scalar_one())


async def unready(tx: AsyncConnection) -> dict[str, dict[str, Any]]:
    """The leaves (JSON) that some journey waits for, by hash."""
    return {row.hash: orjson.loads(row.leaf) for row in await tx.execute(_UNREADY)}


async def mark_ready(tx: AsyncConnection, hashes: Collection[str]) -> list[str]:
    """Note that leaves are counted. Returns the journeys of which a version thereby comes in
    force."""
    return list((await tx.execute(_READY, {"hashes": sorted(hashes)})).scalars())
