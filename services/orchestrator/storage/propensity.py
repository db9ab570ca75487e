"""How often what a rule did on a channel was taken, by persona: counted once for every action.

`action.counted` says what an action counts as: not yet, as a no, or as a yes. A no may still become
a yes, never the other way round. Counters are changed last in a transaction, sorted, because all
workers share them.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.orchestrator.domain.estimates import Counts
from shared.postgres.transaction import Tx

# A contact that never reached anybody was not shown; so it is no no.
_ADD = """
    INSERT INTO propensity AS p (rule, channel, persona, shown, taken, changed_at)
    SELECT rule, channel, persona, sum(shown), sum(taken), clock_timestamp() FROM judged
     GROUP BY rule, channel, persona ORDER BY rule, channel, persona
        ON CONFLICT (rule, channel, persona) DO UPDATE
       SET shown = p.shown + excluded.shown, taken = p.taken + excluded.taken,
           changed_at = excluded.changed_at
"""
_COUNT = text(
    f"""
    WITH judged AS (
        UPDATE action AS a SET counted = 1 + CAST(g.taken AS integer)
          FROM unnest(CAST(:ids AS uuid[]), CAST(:taken AS boolean[])) AS g (action_id, taken)
         WHERE a.action_id = g.action_id AND a.counted < 1 + CAST(g.taken AS integer)
        RETURNING a.rule, a.channel, a.persona, CAST(old.counted = 0 AS integer) AS shown,
                  CAST(g.taken AS integer) AS taken
    )
    {_ADD}
    """  # noqa: S608 - constants
)
MATURE = text(
    f"""
    WITH over AS (
        SELECT action_id, expires_at FROM action
         WHERE counted = 0 AND status IN ('published', 'done')
           AND expires_at <= (SELECT clock.now()) AND expires_at >= CAST(:since AS timestamptz)
         ORDER BY expires_at LIMIT :limit FOR UPDATE SKIP LOCKED
    ), judged AS (
        UPDATE action AS a SET counted = 1 FROM over WHERE a.action_id = over.action_id
        RETURNING a.rule, a.channel, a.persona, 1 AS shown, 0 AS taken
    ), added AS ({_ADD})
    SELECT max(expires_at) FROM over
    """  # noqa: S608 - constants
)
_CHANGED = text(
    """
    SELECT rule, channel, persona, shown, taken, changed_at FROM propensity
     WHERE changed_at > CAST(:since AS timestamptz) - interval '1 minute'
    """
)
EVER = datetime.fromisoformat("1970-01-02T00:00:00+00:00")


class Judged(NamedTuple):
    """An action of which is known whether the customer took it."""

    action_id: UUID
    taken: bool


async def count(tx: Tx, rows: Collection[Judged]) -> None:
    """Count actions of which something was heard: a yes, or a no that was said. The profiles of
    the actions have to be locked. What was counted as that, or as a yes, is not counted again."""
    best: dict[UUID, bool] = {}
    for row in rows:
        best[row.action_id] = best.get(row.action_id, False) or row.taken
    if best:
        ids = sorted(best)
        await tx.execute(_COUNT, {"ids": ids, "taken": [best[one] for one in ids]})


async def mature(tx: AsyncConnection, *, since: datetime, limit: int) -> datetime | None:
    """Count, as a no, actions that are over without an answer, of those that expired at `since` or
    later; at most `limit`, the oldest first. When the last of them expired, None for none."""
    last: datetime | None = (
        await tx.execute(MATURE, {"since": since, "limit": limit})
    ).scalar_one()
    return last


class Changed(NamedTuple):
    """What was counted, by rule, then channel and persona, and the last change of it."""

    counts: Counts
    until: datetime


async def changed(tx: AsyncConnection, since: datetime) -> Changed:
    """What changed since an instant, and in the minute before: it may have been committed late."""
    rows: Sequence[tuple[str, str, str, int, int, datetime]] = [
        tuple(row) for row in await tx.execute(_CHANGED, {"since": since})
    ]
    counts: dict[str, dict[tuple[str, str], tuple[int, int]]] = {}
    for rule, channel, persona, shown, taken, _ in rows:
        counts.setdefault(rule, {})[(channel, persona)] = (shown, taken)
    return Changed(counts, max((row[5] for row in rows), default=since))
