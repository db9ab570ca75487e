"""How much of scarce resources is used, by calendar window, and what was reserved for which action.

Whoever decides takes the turn of the resources, sorted by key, after the profiles and households
are locked; so what was seen as left is still there when it is reserved. The limit is asked once
more in the statement that reserves.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.orchestrator.domain.capacity import SLACK
from services.orchestrator.domain.effects import Spent
from services.orchestrator.domain.history import Use, Used
from services.orchestrator.storage.histories import Histories
from shared.errors import Infrastructure
from shared.postgres.transaction import Tx

_HAVE_TURNS = text(
    """
    INSERT INTO resource_turn (resource)
    SELECT * FROM unnest(CAST(:keys AS text[])) AS given (key) ORDER BY key ON CONFLICT DO NOTHING
    """
)
_TAKE_TURNS = text(
    """
    SELECT resource FROM resource_turn WHERE resource = ANY(CAST(:keys AS text[]))
     ORDER BY resource FOR UPDATE
    """
)
_USED = text(
    """
    SELECT resource, starts_at, used FROM resource_window
     WHERE resource = ANY(CAST(:keys AS text[])) AND starts_at >= :since
    """
)
_USES = text(
    """
    SELECT profile_id::text, action_id, resource, starts_at, amount FROM resource_use
     WHERE profile_id = ANY(CAST(:ids AS uuid[])) AND starts_at >= :since
    """
)
_SPEND = text(
    """
    WITH given AS (
        SELECT * FROM unnest(CAST(:actions AS uuid[]), CAST(:profiles AS uuid[]),
                             CAST(:keys AS text[]), CAST(:starts AS timestamptz[]),
                             CAST(:amounts AS float8[]), CAST(:limits AS float8[]))
                      AS g (action_id, profile_id, resource, starts_at, amount, limits)
    ), noted AS (
        INSERT INTO resource_use (action_id, resource, profile_id, starts_at, amount)
        SELECT action_id, resource, profile_id, starts_at, amount FROM given
    )
    INSERT INTO resource_window AS w (resource, starts_at, used)
    SELECT resource, starts_at, sum(amount) FROM given
     GROUP BY resource, starts_at HAVING sum(amount) <= min(limits) + :slack
     ORDER BY resource, starts_at
        ON CONFLICT (resource, starts_at) DO UPDATE SET used = w.used + excluded.used
     WHERE w.used + excluded.used <= :slack + (
           SELECT min(limits) FROM given
            WHERE given.resource = w.resource AND given.starts_at = w.starts_at)
    RETURNING w.resource, w.starts_at
    """
)
_LOCK_WINDOWS = text(
    """
    SELECT FROM resource_window AS w
     WHERE (w.resource, w.starts_at) IN (
           SELECT * FROM unnest(CAST(:keys AS text[]), CAST(:starts AS timestamptz[]))
            UNION SELECT resource, starts_at FROM resource_use
                   WHERE action_id = ANY(CAST(:ids AS uuid[])))
     ORDER BY w.resource, w.starts_at FOR UPDATE
    """
)
_FREE = text(
    """
    WITH gone AS (
        DELETE FROM resource_use WHERE action_id = ANY(CAST(:ids AS uuid[]))
        RETURNING resource, starts_at, amount
    ), sums AS (
        SELECT resource, starts_at, sum(amount) AS amount FROM gone GROUP BY resource, starts_at
    ), turns AS (
        SELECT w.resource, w.starts_at, sums.amount
          FROM resource_window AS w JOIN sums USING (resource, starts_at)
         ORDER BY w.resource, w.starts_at FOR UPDATE OF w
    )
    UPDATE resource_window AS w SET used = greatest(0, w.used - turns.amount) FROM turns
     WHERE w.resource = turns.resource AND w.starts_at = turns.starts_at
    """
)


async def recall(
    tx: Tx,
    found: Histories,
    keys: Collection[str],
    *,
    since: datetime,
) -> None:
    """Take the turn of the resources and read what is used of them and by whom, in windows that
    start at `since` or later. Until the transaction ends nobody else takes any of them.

    To be asked once in a transaction: the turns have one order."""
    ordered = sorted(keys)
    await tx.execute(_HAVE_TURNS, {"keys": ordered})
    await tx.execute(_TAKE_TURNS, {"keys": ordered})
    rows = await tx.execute(_USED, {"keys": ordered, "since": since})
    used: Used = {(row.resource, row.starts_at): row.used for row in rows}
    for history in found.values():
        history.used = used
    for row in await tx.execute(_USES, {"ids": list(found), "since": since}):
        uses = found[row.profile_id].uses
        use = Use(row.resource, row.starts_at, row.amount, 0.0)
        uses[row.action_id] = (*uses.get(row.action_id, ()), use)


async def settle(tx: Tx, spent: Sequence[Spent], released: Collection[UUID]) -> None:
    """Give back what was reserved for actions that do not happen, and reserve what others take.

    Raises Infrastructure, so that the batch is decided again, if that would be more than there is.
    """
    ids = list(released)
    if spent and ids:
        # Both at once, in one order: who only gives back has taken no turn.
        await tx.execute(
            _LOCK_WINDOWS,
            {
                "ids": ids,
                "keys": [one.use.resource for one in spent],
                "starts": [one.use.window for one in spent],
            },
        )
    if ids:
        await tx.execute(_FREE, {"ids": ids})
    kept = [one for one in spent if one.action_id not in set(ids)]
    if kept:
        await _spend(tx, kept)


async def _spend(tx: Tx, spent: Sequence[Spent]) -> None:
    windows = {(one.use.resource, one.use.window) for one in spent}
    rows = await tx.execute(
        _SPEND,
        {
            "actions": [one.action_id for one in spent],
            "profiles": [one.profile_id for one in spent],
            "keys": [one.use.resource for one in spent],
            "starts": [one.use.window for one in spent],
            "amounts": [one.use.amount for one in spent],
            "limits": [one.use.limit for one in spent],
            "slack": SLACK,
        },
    )
    if len(rows.all()) < len(windows):
        raise Infrastructure("postgres", "a resource was used up meanwhile: deciding again")


async def used(
    tx: AsyncConnection, windows: Collection[tuple[str, datetime]]
) -> dict[tuple[str, datetime], float]:
    """What is used of resources in windows, by their starts."""
    rows = await tx.execute(
        _READ_USED,
        {"keys": [key for key, _ in windows], "starts": [start for _, start in windows]},
    )
    return {(row.resource, row.starts_at): row.used for row in rows}


_READ_USED = text(
    """
    SELECT w.resource, w.starts_at, w.used
      FROM resource_window AS w
      JOIN unnest(CAST(:keys AS text[]), CAST(:starts AS timestamptz[])) AS g (resource, starts_at)
     USING (resource, starts_at)
    """
)
