"""Finds for every conversion of a journey's goal the last, or the first, touch before it.

A touch is an action of the person, of any rule or journey, that reached them: it was handed to its
channel, and nothing says that it was lost or was taken back before anybody had it. A task reached
them when somebody did it. It counts from its instant on, for as long as the goal's window lasts.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.orchestrator.domain.journeys.attribution import Model, Touch, touch_of


def _credit(order: str) -> TextClause:
    return text(
        f"""
        WITH converted AS MATERIALIZED (
            SELECT profile_id, goal_happened_at AS at, goal_happened_at - goal_within AS since
              FROM journey_run
             WHERE journey = :journey AND goal_at >= :starts AND goal_at < :ends
             ORDER BY goal_at LIMIT :most
        )
        SELECT t.rule, t.channel, t.kind, count(*) AS n
          FROM converted AS c LEFT JOIN LATERAL (
               SELECT a.rule, a.channel, a.kind
                 FROM action AS a CROSS JOIN LATERAL (
                      SELECT CASE a.kind WHEN 'task' THEN
                                 (SELECT min(o.at) FROM outcome AS o
                                   WHERE o.action_id = a.action_id AND a.delivery = 'delivered'
                                     AND o.outcome <> ALL ('{{bounced,failed,expired}}'))
                             ELSE a.published_at END AS at) AS reached
                WHERE a.profile_id = c.profile_id AND a.created_at <= c.at
                  AND reached.at <= c.at AND reached.at > c.since
                  AND (a.delivery IS NULL OR a.delivery = 'delivered')
                  AND (a.reached IS NULL OR a.reached IN ('published', 'completed'))
                ORDER BY reached.at {order}, a.action_id {order} LIMIT 1) AS t ON true
         GROUP BY t.rule, t.channel, t.kind
        """  # noqa: S608 - constants
    )


_CREDIT: dict[Model, TextClause] = {"last": _credit("DESC"), "first": _credit("ASC")}


async def credits_of(
    tx: AsyncConnection,
    journey: str,
    model: Model,
    *,
    starts: datetime,
    ends: datetime,
    most: int,
) -> Sequence[tuple[Touch | None, int]]:
    """How many conversions that were counted from `starts` until before `ends` have which touch to
    thank, None for those without one; of at most `most` conversions, the earliest."""
    given = {"journey": journey, "starts": starts, "ends": ends, "most": most}
    return [
        (None if row.rule is None else touch_of(row.rule, row.channel, row.kind), row.n)
        for row in await tx.execute(_CREDIT[model], given)
    ]
