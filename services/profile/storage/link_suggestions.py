"""Pairs of profiles that may be one person, and what people said of them.

An open suggestion is shown while both profiles are active. Its id is that of the pair for ever, so
a later batch finds the same row again.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.profile.domain.linking import BANDS, Judged
from services.profile.storage.link_engine import Pair
from shared.ids import derived_id

NAMESPACE = UUID("3d0f6d9c-64c6-5d0f-9a52-0b8c1f2e7d34")
_encode = msgspec.json.Encoder().encode


class Suggestion(NamedTuple):
    """A pair as it is listed. `verdict` fields are null while it is open; `merge_id` is of the
    merge that an acceptance made."""

    id: str
    profile_a: str
    profile_b: str
    score: float
    features: list[dict[str, Any]]
    status: str
    found_at: datetime
    who: str | None
    who_name: str | None
    at: datetime | None
    merge_id: str | None


_UPSERT = text(
    """
    INSERT INTO link_suggestion (id, profile_a, profile_b, score, features, run, found_at)
    SELECT id, a, b, score, CAST(features AS jsonb), CAST(:run AS bigint), (SELECT clock.now())
      FROM unnest(CAST(:ids AS uuid[]), CAST(:a AS uuid[]), CAST(:b AS uuid[]),
                  CAST(:scores AS double precision[]), CAST(:features AS text[]))
           AS new (id, a, b, score, features)
     WHERE (SELECT count(*) FROM profile
             WHERE profile.id IN (new.a, new.b) AND status = 'active') = 2
    ON CONFLICT (profile_a, profile_b) DO UPDATE
       SET score = excluded.score, features = excluded.features, run = excluded.run
     WHERE link_suggestion.status = 'open'
    """
)


async def upsert(tx: AsyncConnection, run: int, pairs: Sequence[Pair]) -> int:
    """Suggest pairs, or give open ones their new score; returns how many.

    A pair that was decided stays so; one of which a profile is not active any more is left out.
    """
    result = await tx.execute(
        _UPSERT,
        {
            "run": run,
            "ids": [str(derived_id(NAMESPACE, pair.a, pair.b)) for pair in pairs],
            "a": [pair.a for pair in pairs],
            "b": [pair.b for pair in pairs],
            "scores": [pair.score for pair in pairs],
            "features": [_encode(pair.features).decode() for pair in pairs],
        },
    )
    return result.rowcount


_FORGET = text("DELETE FROM link_suggestion WHERE status = 'open' AND run <> :run")


async def forget_others(tx: AsyncConnection, run: int) -> None:
    """Drop open suggestions that this batch did not find."""
    await tx.execute(_FORGET, {"run": run})


_DECIDED = text(
    """
    SELECT suggestion_id, profile_a, profile_b FROM link_verdict
     WHERE suggestion_id > :after ORDER BY suggestion_id LIMIT :limit
    """
)


async def decided(tx: AsyncConnection, *, after: UUID, limit: int) -> list[tuple[UUID, str, str]]:
    """(suggestion id, a, b) of pairs that people decided on, by id: not to be suggested again."""
    rows = await tx.execute(_DECIDED, {"after": after, "limit": limit})
    return [(row[0], str(row[1]), str(row[2])) for row in rows]


_SELECT = """
    SELECT s.id, s.profile_a, s.profile_b, s.score, s.features, s.status, s.found_at,
           v.who, v.who_name, v.at, v.merge_id
      FROM link_suggestion s LEFT JOIN link_verdict v ON v.suggestion_id = s.id
"""
_LIST = text(
    f"""
    {_SELECT}
     WHERE s.score >= :min_score
       AND (CAST(:status AS text) IS NULL OR s.status = :status)
       AND (CAST(:score AS double precision) IS NULL OR (s.score, s.id) < (:score, :id))
       AND (s.status <> 'open' OR 2 = (
            SELECT count(*) FROM profile
             WHERE profile.id IN (s.profile_a, s.profile_b) AND profile.status = 'active'))
     ORDER BY s.score DESC, s.id DESC
     LIMIT :limit
    """  # noqa: S608 - a statement of ours
)
_ONE = text(f"{_SELECT} WHERE s.id = :id FOR UPDATE OF s")


async def listed(
    tx: AsyncConnection,
    *,
    min_score: float,
    status: str | None,
    limit: int,
    after: tuple[float, UUID] | None = None,
) -> list[Suggestion]:
    """The most likely first. `after` is (score, id) of the last one of the page before."""
    score, id_ = after or (None, None)
    rows = await tx.execute(
        _LIST,
        {"min_score": min_score, "status": status, "limit": limit, "score": score, "id": id_},
    )
    return [_suggestion(row) for row in rows]


async def locked(tx: AsyncConnection, suggestion_id: UUID) -> Suggestion | None:
    """One suggestion, locked; profiles are locked before it."""
    row = (await tx.execute(_ONE, {"id": suggestion_id})).one_or_none()
    return None if row is None else _suggestion(row)


_PAIR = text("SELECT profile_a, profile_b FROM link_suggestion WHERE id = :id")


async def pair_of(tx: AsyncConnection, suggestion_id: UUID) -> tuple[str, str] | None:
    """The two profiles of a suggestion; they never change."""
    row = (await tx.execute(_PAIR, {"id": suggestion_id})).one_or_none()
    return None if row is None else (str(row[0]), str(row[1]))


_JUDGE = text(
    """
    WITH judged AS (
        UPDATE link_suggestion SET status = CAST(:verdict AS text) WHERE id = CAST(:id AS uuid)
        RETURNING id, profile_a, profile_b, score)
    INSERT INTO link_verdict
           (suggestion_id, profile_a, profile_b, verdict, score, merge_id, who, who_name, at)
    SELECT id, profile_a, profile_b, CAST(:verdict AS text), score, CAST(:merge_id AS uuid),
           CAST(:who AS text), CAST(:who_name AS text), CAST(:at AS timestamptz)
      FROM judged
    """
)


async def judge(
    tx: AsyncConnection,
    suggestion: Suggestion,
    *,
    verdict: str,
    who: str,
    who_name: str,
    at: datetime,
    merge_id: str | None,
) -> Suggestion:
    """Keep what a person said of an open suggestion that is locked."""
    await tx.execute(
        _JUDGE,
        {
            "id": suggestion.id,
            "verdict": verdict,
            "merge_id": merge_id,
            "who": who,
            "who_name": who_name,
            "at": at,
        },
    )
    return suggestion._replace(status=verdict, who=who, who_name=who_name, at=at, merge_id=merge_id)


_JUDGED = text(
    """
    SELECT width_bucket(score, CAST(:bands AS double precision[])) AS band,
           count(*) FILTER (WHERE verdict = 'accepted'),
           count(*) FILTER (WHERE verdict = 'rejected'),
           count(*) FILTER (WHERE merge.undone_at IS NOT NULL)
      FROM link_verdict LEFT JOIN merge ON merge.id = link_verdict.merge_id
     GROUP BY band
    """
)


async def judged(tx: AsyncConnection) -> list[Judged]:
    """What people decided, for each band of scores, the lowest first."""
    rows = await tx.execute(_JUDGED, {"bands": list(BANDS)})
    found: Mapping[int, Sequence[int]] = {row[0]: row[1:] for row in rows}
    return [Judged(least, *found.get(number, (0, 0, 0))) for number, least in enumerate(BANDS, 1)]


def _suggestion(row: Sequence[Any]) -> Suggestion:
    id_, a, b, score, features, status, found_at, who, who_name, at, merge_id = row
    if isinstance(features, str | bytes):
        features = msgspec.json.decode(features)
    merged = None if merge_id is None else str(merge_id)
    return Suggestion(
        str(id_), str(a), str(b), score, features, status, found_at, who, who_name, at, merged
    )
