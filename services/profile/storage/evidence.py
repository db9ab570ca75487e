"""Evidence: every batch of touchpoints and every decision of a person, in the order decided.

A row is inserted while the profiles it is about are locked; so of two rows that have a profile in
common the one with the smaller `number` was decided first. Rows are never changed.
"""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_BATCH = text(
    """
    INSERT INTO evidence (batch, rules, touchpoints, profiles, notes)
    VALUES (:batch, :rules, CAST(:touchpoints AS uuid[]), CAST(:profiles AS uuid[]), :notes)
    """
)
_DECISION = text(
    """
    INSERT INTO evidence (rules, profiles, decision)
    VALUES (:rules, CAST(:profiles AS uuid[]), :decision)
    """
)


async def add_batch(
    tx: AsyncConnection,
    *,
    batch: int,
    rules: int,
    touchpoints: Sequence[str],
    profiles: Sequence[str | None],
    notes: bytes | None,
) -> None:
    """Keep where each touchpoint of a batch went, under which version of the rules, and the notes
    on those that are not plain."""
    await tx.execute(
        _BATCH,
        {
            "batch": batch,
            "rules": rules,
            "touchpoints": touchpoints,
            "profiles": profiles,
            "notes": notes,
        },
    )


async def add_decision(
    tx: AsyncConnection, *, rules: int, profiles: Sequence[str], decision: bytes
) -> None:
    """Keep what a person decided about profiles."""
    await tx.execute(
        _DECISION, {"rules": rules, "profiles": sorted(profiles), "decision": decision}
    )


class Placed(NamedTuple):
    """A touchpoint with its evidence. What was absorbed before evidence was kept has `rules`
    None; `notes` are those of its batch, in which it stands at `place`."""

    body: bytes
    reason: str | None
    profile_now: str | None
    rules: int | None
    place: int
    profile_then: str | None
    notes: bytes | None


_OF_TOUCHPOINT = text(
    """
    SELECT t.body, t.reason, i.profile_id, e.rules, p.place, e.profiles[p.place], e.notes
      FROM touchpoint AS t
      LEFT JOIN identifier AS i ON i.id = t.anchor
      LEFT JOIN evidence AS e ON e.batch = t.batch AND t.id = ANY (e.touchpoints)
     CROSS JOIN LATERAL (SELECT array_position(e.touchpoints, t.id) AS place) AS p
     WHERE t.id = CAST(:id AS uuid)
    """
)


async def of_touchpoint(tx: AsyncConnection, touchpoint_id: str) -> Placed | None:
    """What is known of a touchpoint's identity; None if no such touchpoint was applied."""
    row = (await tx.execute(_OF_TOUCHPOINT, {"id": touchpoint_id})).one_or_none()
    if row is None:
        return None
    body, reason, now, rules, place, then, notes = row
    return Placed(
        body,
        reason,
        None if now is None else str(now),
        rules,
        0 if place is None else place - 1,
        None if then is None else str(then),
        notes,
    )


class Step(NamedTuple):
    """One row, to be made again: the bodies of a batch's touchpoints, or a decision."""

    number: int
    rules: int
    bodies: list[bytes]
    decision: bytes | None


_STEPS = text(
    """
    SELECT e.number, e.rules, e.decision,
           ARRAY(SELECT t.body FROM unnest(e.touchpoints) WITH ORDINALITY AS o (id, place)
                   JOIN touchpoint AS t USING (id) ORDER BY o.place) AS bodies
      FROM evidence AS e WHERE e.number > :after ORDER BY e.number LIMIT :limit
    """
)


async def steps(tx: AsyncConnection, *, after: int, limit: int) -> list[Step]:
    """At most `limit` rows behind the number `after`, in the order decided."""
    rows = await tx.execute(_STEPS, {"after": after, "limit": limit})
    return [Step(row.number, row.rules, list(row.bodies), row.decision) for row in rows]
