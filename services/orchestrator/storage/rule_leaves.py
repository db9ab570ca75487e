"""The event leaves of published rules, and whether they are counted yet.

While one of a version's leaves is not, the version is warming: the one that was in force before it
stays so.
"""

from collections.abc import Collection, Mapping
from typing import Any

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.postgres import drafts

_FORGET = text("DELETE FROM rule_leaf WHERE rule = :rule")
_STOP_WARMING = text("DELETE FROM rule_warming WHERE rule = :rule RETURNING before")
_INSERT = text(
    """
    INSERT INTO rule_leaf (rule, hash, leaf, ready)
    SELECT :rule, hash, CAST(leaf AS jsonb), ready
      FROM unnest(CAST(:hashes AS text[]), CAST(:leaves AS text[]), CAST(:ready AS boolean[]))
           AS l (hash, leaf, ready)
    """
)
_WARM = text("INSERT INTO rule_warming (rule, version, before) VALUES (:rule, :version, :before)")
_UNREADY = text(
    """
    SELECT DISTINCT ON (hash) hash, leaf::text AS leaf FROM rule_leaf
     WHERE NOT ready ORDER BY hash, rule
    """
)
_READY = text("UPDATE rule_leaf SET ready = true WHERE hash = ANY(CAST(:hashes AS text[]))")
_WARMED = text(
    """
    DELETE FROM rule_warming AS w
     WHERE NOT EXISTS (SELECT FROM rule_leaf AS l WHERE l.rule = w.rule AND NOT l.ready)
    RETURNING rule
    """
)
_IS_WARMING = text("SELECT EXISTS (SELECT FROM rule_warming WHERE rule = :rule)")
_IN_FORCE = text(
    """
    SELECT w.rule, w.before, v.body::text AS body, v.published_at, v.published_by
      FROM rule_warming AS w
      LEFT JOIN rule_version AS v ON v.key = w.rule AND v.version = w.before
    """
)


async def put(
    tx: AsyncConnection,
    rule: str,
    version: int,
    leaves: Mapping[str, Mapping[str, Any]],
    ready: Mapping[str, bool],
    *,
    before: int | None,
) -> bool:
    """The leaves of a version that is just published, instead of those of `before`, which is in
    force (None: nothing is); whether the version is warming."""
    was_warming = (await tx.execute(_STOP_WARMING, {"rule": rule})).one_or_none()
    await tx.execute(_FORGET, {"rule": rule})
    if not leaves:
        return False
    names = sorted(leaves)
    values = {
        "rule": rule,
        "hashes": names,
        "leaves": [orjson.dumps(leaves[name]).decode() for name in names],
        "ready": [ready[name] for name in names],
    }
    await tx.execute(_INSERT, values)
    if all(ready[name] for name in names):
        return False
    stays = before if was_warming is None or before is None else was_warming.before
    await tx.execute(_WARM, {"rule": rule, "version": version, "before": stays})
    return True


async def is_warming(tx: AsyncConnection, rule: str) -> bool:
    """Whether the live version of a rule waits for its leaves."""
    return bool((await tx.execute(_IS_WARMING, {"rule": rule})).scalar_one())


async def unready(tx: AsyncConnection) -> dict[str, dict[str, Any]]:
    """The leaves (JSON) that some rule waits for, by hash."""
    return {row.hash: orjson.loads(row.leaf) for row in await tx.execute(_UNREADY)}


async def mark_ready(tx: AsyncConnection, hashes: Collection[str]) -> list[str]:
    """Note that leaves are counted. Returns the rules whose new version thereby comes in force."""
    await tx.execute(_READY, {"hashes": sorted(hashes)})
    return sorted((await tx.execute(_WARMED)).scalars())


async def in_force_while_warming(
    tx: AsyncConnection,
) -> dict[str, drafts.Version | None]:
    """By rule that is warming, the version that is in force meanwhile; None: nothing is."""
    return {
        row.rule: None
        if row.before is None
        else drafts.Version(
            row.rule, row.before, orjson.loads(row.body), row.published_at, row.published_by
        )
        for row in await tx.execute(_IN_FORCE)
    }
