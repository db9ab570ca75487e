"""Where other people's rows name somebody who is being erased: found by the bytes of her
identifiers, and replaced.

Only what was decided before the erasure counts, see `erasing`.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.profile.storage.erasing import Told

_END_OF_PAGE = text(
    """
    SELECT id::text FROM (
        SELECT id FROM touchpoint WHERE id > CAST(:after AS uuid) ORDER BY id LIMIT :limit) AS page
     ORDER BY page.id DESC LIMIT 1
    """
)
_MENTIONING = text(
    """
    SELECT t.id::text, t.body, coalesce(e.rules, 0) AS rules
      FROM touchpoint AS t LEFT JOIN evidence AS e ON e.batch = t.batch
     WHERE t.id > CAST(:after AS uuid) AND t.id <= CAST(:last AS uuid)
       AND (coalesce(e.number, 0) <= :until OR t.reason = 'audience')
       AND (CAST(:needles AS bytea[]) IS NULL
            OR EXISTS (SELECT FROM unnest(CAST(:needles AS bytea[])) AS n (needle)
                        WHERE position(needle IN t.body) > 0))
    """
)
_REWRITE = text(
    """
    UPDATE touchpoint SET body = new.body
      FROM unnest(CAST(:ids AS uuid[]), CAST(:bodies AS bytea[])) AS new (id, body)
     WHERE touchpoint.id = new.id AND touchpoint.id = ANY (CAST(:ids AS uuid[]))
    """
)


async def mentioning(
    tx: AsyncConnection, *, after: str, limit: int, needles: Sequence[bytes] | None, until: int
) -> tuple[list[Told], str | None]:
    """Of the next `limit` touchpoints those that have a needle in them (None: all of them), and
    the id of the last one that was looked at; None at the end."""
    last = (await tx.execute(_END_OF_PAGE, {"after": after, "limit": limit})).scalar()
    if last is None:
        return [], None
    values = {"after": after, "last": last, "needles": needles, "until": until}
    return [Told(*row) for row in await tx.execute(_MENTIONING, values)], last


async def rewrite(tx: AsyncConnection, bodies: Mapping[str, bytes]) -> None:
    """Replace the bodies of touchpoints (by id)."""
    if bodies:
        await tx.execute(_REWRITE, {"ids": list(bodies), "bodies": list(bodies.values())})


_END_OF_PROFILES = text(
    """
    SELECT id::text FROM (
        SELECT id FROM profile WHERE id > CAST(:after AS uuid) ORDER BY id LIMIT :limit) AS page
     ORDER BY page.id DESC LIMIT 1
    """
)
_PROFILES_MENTIONING = text(
    """
    SELECT id::text FROM profile
     WHERE id > CAST(:after AS uuid) AND id <= CAST(:last AS uuid)
       AND EXISTS (SELECT FROM unnest(CAST(:needles AS bytea[])) AS n (needle)
                    WHERE position(needle IN state) > 0)
     ORDER BY id
    """
)
_SET_STATE = text("UPDATE profile SET state = :state WHERE id = CAST(:id AS uuid)")
_MERGES = text(
    """
    SELECT id::text, cause::text AS cause FROM merge
     WHERE moved && CAST(:identifiers AS uuid[])
        OR EXISTS (SELECT FROM unnest(CAST(:needles AS text[])) AS n (needle)
                    WHERE position(needle IN cause::text) > 0)
    """
)
_SET_MERGE = text(
    """
    UPDATE merge SET cause = CAST(:cause AS jsonb),
           moved = ARRAY(SELECT one FROM unnest(moved) AS one
                          WHERE one <> ALL (CAST(:identifiers AS uuid[])))
     WHERE id = CAST(:id AS uuid)
    """
)
_DECISIONS = text(
    """
    SELECT number, decision FROM evidence
     WHERE decision IS NOT NULL AND number <= :until
       AND (profiles && CAST(:family AS uuid[])
            OR EXISTS (SELECT FROM unnest(CAST(:needles AS bytea[])) AS n (needle)
                        WHERE position(needle IN decision) > 0))
    """
)
_SET_DECISION = text("UPDATE evidence SET decision = :decision WHERE number = :number")
_AUDIENCE_OPEN = text(
    """
    SELECT EXISTS (SELECT FROM audience_job
     WHERE finished_at IS NULL AND created_at <= :until
       AND EXISTS (SELECT FROM unnest(CAST(:needles AS bytea[])) AS n (needle)
                    WHERE position(needle IN condition) > 0))
    """
)
_AUDIENCES = text(
    """
    SELECT touchpoint_id::text, condition FROM audience_job
     WHERE finished_at IS NOT NULL
       AND EXISTS (SELECT FROM unnest(CAST(:needles AS bytea[])) AS n (needle)
                    WHERE position(needle IN condition) > 0)
    """
)
_SET_AUDIENCE = text(
    "UPDATE audience_job SET condition = :condition WHERE touchpoint_id = CAST(:id AS uuid)"
)


async def profiles_mentioning(
    tx: AsyncConnection, needles: Sequence[bytes], *, after: str, limit: int
) -> tuple[list[str], str | None]:
    """Of the next `limit` profiles the ids of those in whose state one of the needles is, and the
    id of the last one that was looked at, None at the end; nobody is locked."""
    last = (await tx.execute(_END_OF_PROFILES, {"after": after, "limit": limit})).scalar()
    if last is None:
        return [], None
    values = {"needles": list(needles), "after": after, "last": last}
    return list((await tx.execute(_PROFILES_MENTIONING, values)).scalars()), last


async def set_state(tx: AsyncConnection, profile_id: str, state: bytes) -> None:
    """Replace the state of a locked profile by one that is told to nobody."""
    await tx.execute(_SET_STATE, {"id": profile_id, "state": state})


async def merges_mentioning(
    tx: AsyncConnection, identifiers: Collection[str], needles: Iterable[str]
) -> list[tuple[str, str]]:
    """(id, cause) of merges that moved one of the identifiers (by id), or name one as the cause."""
    values = {"identifiers": list(identifiers), "needles": list(needles)}
    return [(row.id, row.cause) for row in await tx.execute(_MERGES, values)]


async def set_merge(
    tx: AsyncConnection, merge_id: str, *, cause: str, identifiers: Collection[str]
) -> None:
    """Replace a merge's cause, and forget that it moved these identifiers (by id)."""
    values = {"id": merge_id, "cause": cause, "identifiers": list(identifiers)}
    await tx.execute(_SET_MERGE, values)


async def decisions_mentioning(
    tx: AsyncConnection, family: Collection[str], needles: Sequence[bytes], *, until: int
) -> list[tuple[int, bytes]]:
    """(number, decision) of what people decided about the profiles or with one of the needles."""
    values = {"family": list(family), "needles": list(needles), "until": until}
    return [(row.number, row.decision) for row in await tx.execute(_DECISIONS, values)]


async def set_decision(tx: AsyncConnection, number: int, decision: bytes) -> None:
    """Replace a decision in the evidence."""
    await tx.execute(_SET_DECISION, {"number": number, "decision": decision})


async def is_audience_open(
    tx: AsyncConnection, needles: Sequence[bytes], *, until: datetime | None
) -> bool:
    """Whether an audience job of before `until` is open and has a needle in its condition."""
    values = {"needles": list(needles), "until": until}
    return (await tx.execute(_AUDIENCE_OPEN, values)).scalar_one()  # type: ignore[no-any-return]


async def audiences_mentioning(
    tx: AsyncConnection, needles: Sequence[bytes]
) -> list[tuple[str, bytes]]:
    """(touchpoint, condition) of ended audience jobs with one of the needles in the condition; a
    condition that has still to be met stays as it is."""
    rows = await tx.execute(_AUDIENCES, {"needles": list(needles)})
    return [(row.touchpoint_id, row.condition) for row in rows]


async def set_audience(tx: AsyncConnection, touchpoint_id: str, condition: bytes) -> None:
    """Replace the condition of an audience job."""
    await tx.execute(_SET_AUDIENCE, {"id": touchpoint_id, "condition": condition})
