"""What people read of the past: decisions and actions, by profile, touchpoint or id.

A question about a profile covers every profile that was merged with it. Nothing here writes.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

Before = tuple[datetime, UUID]
"""The instant and id of the last item that was seen; lists go on behind it."""

START: Before = (datetime.fromisoformat("9999-12-31T23:59:59+00:00"), UUID(int=2**128 - 1))


@dataclass(frozen=True, slots=True)
class StoredDecision:
    """A decision; `body` is the record as it went to the topic."""

    id: UUID
    at: datetime
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class StoredAction:
    """An action and how far it got: `status` is pending, published, retracted, expired, failed or
    done; `delivery` what became of it on its channel, `response` the most that the customer did.
    `reached` says how far it had come when it was taken back: pending (nobody had it), queued (it
    waited for a connector), published, or for a task open, claimed, completed. `instead_of` is the
    action that it stands in for. `message` is what the channel gets or got; null for who may not
    see personal data.
    """

    action_id: UUID
    profile_id: UUID
    rule: str
    version: int
    touchpoint_id: UUID | None
    decision_id: UUID
    channel: str
    category: str
    status: str
    reason: str | None
    created_at: datetime
    due_at: datetime
    expires_at: datetime
    published_at: datetime | None
    kind: str
    delivery: str | None
    response: str | None
    reached: str | None
    instead_of: UUID | None
    message: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class StoredOutcome:
    """One thing that was said of an action, by which touchpoint, and when it happened."""

    outcome: str
    at: datetime
    touchpoint_id: UUID


_PERSON = text(
    """
    WITH RECURSIVE up (id, merged_into) AS (
        SELECT profile_id, merged_into FROM profile_state WHERE profile_id = :profile_id
        UNION
        SELECT won.profile_id, won.merged_into
          FROM up JOIN profile_state won ON won.profile_id = up.merged_into
    ), person (id) AS (
        SELECT id FROM up WHERE merged_into IS NULL
        UNION
        SELECT lost.profile_id FROM person JOIN profile_state lost ON lost.merged_into = person.id
    )
    SELECT id FROM person
    """
)
_DECISION = text("SELECT id, at, body FROM decision WHERE id = :id")
_DECISIONS_OF_PROFILES = text(
    """
    SELECT id, at, body FROM decision
     WHERE profile_id = ANY(:profile_ids) AND (at, id) < (:before_at, :before_id)
     ORDER BY at DESC, id DESC LIMIT :limit
    """
)
_DECISIONS_OF_TOUCHPOINT = text(
    """
    SELECT id, at, body FROM decision
     WHERE touchpoint_id = :touchpoint_id AND (at, id) < (:before_at, :before_id)
     ORDER BY at DESC, id DESC LIMIT :limit
    """
)
_ACTION = text(
    """
    SELECT action_id, profile_id, rule, version, touchpoint_id, decision_id, channel, category,
           status, reason, created_at, due_at, expires_at, published_at, kind, delivery, response,
           reached, instead_of, body
      FROM action WHERE action_id = :action_id
    """
)
_ACTIONS = text(
    """
    SELECT action_id, profile_id, rule, version, touchpoint_id, decision_id, channel, category,
           status, reason, created_at, due_at, expires_at, published_at, kind, delivery, response,
           reached, instead_of, body
      FROM action WHERE action_id = ANY(CAST(:ids AS uuid[]))
     ORDER BY created_at, action_id
    """
)
_ACTIONS_OF_PROFILES = text(
    """
    SELECT action_id, profile_id, rule, version, touchpoint_id, decision_id, channel, category,
           status, reason, created_at, due_at, expires_at, published_at, kind, delivery, response,
           reached, instead_of, body
      FROM action
     WHERE profile_id = ANY(:profile_ids) AND (created_at, action_id) < (:before_at, :before_id)
     ORDER BY created_at DESC, action_id DESC LIMIT :limit
    """
)

_OUTCOMES = text(
    """
    SELECT outcome, at, touchpoint_id FROM outcome WHERE action_id = :action_id
     ORDER BY at DESC, touchpoint_id LIMIT :limit
    """
)
MAX_OUTCOMES = 100


async def decision(tx: AsyncConnection, decision_id: UUID) -> StoredDecision | None:
    """One decision."""
    row = (await tx.execute(_DECISION, {"id": decision_id})).one_or_none()
    return None if row is None else _decision(row)


async def decision_body(tx: AsyncConnection, decision_id: UUID) -> bytes | None:
    """The record of one decision, byte for byte."""
    row = (await tx.execute(_DECISION, {"id": decision_id})).one_or_none()
    return None if row is None else bytes(row.body)


async def decisions_of_profile(
    tx: AsyncConnection, profile_id: UUID, *, before: Before, limit: int
) -> list[StoredDecision]:
    """At most `limit` decisions about the person, newest first, behind `before`."""
    values = _page(before, limit) | {"profile_ids": await person(tx, profile_id)}
    return [_decision(row) for row in await tx.execute(_DECISIONS_OF_PROFILES, values)]


async def decisions_of_touchpoint(
    tx: AsyncConnection, touchpoint_id: UUID, *, before: Before, limit: int
) -> list[StoredDecision]:
    """At most `limit` decisions that the touchpoint caused, newest first, behind `before`."""
    values = _page(before, limit) | {"touchpoint_id": touchpoint_id}
    return [_decision(row) for row in await tx.execute(_DECISIONS_OF_TOUCHPOINT, values)]


async def action(tx: AsyncConnection, action_id: UUID) -> StoredAction | None:
    """One action."""
    row = (await tx.execute(_ACTION, {"action_id": action_id})).one_or_none()
    return None if row is None else _action(row)


async def outcomes(tx: AsyncConnection, action_id: UUID) -> list[StoredOutcome]:
    """What was said of an action, the newest first; of very much, the newest."""
    rows = await tx.execute(_OUTCOMES, {"action_id": action_id, "limit": MAX_OUTCOMES})
    return [StoredOutcome(row.outcome, row.at, row.touchpoint_id) for row in rows]


async def actions_of(tx: AsyncConnection, ids: Collection[UUID]) -> list[StoredAction]:
    """The actions with these ids, the oldest first."""
    return [_action(row) for row in await tx.execute(_ACTIONS, {"ids": list(ids)})]


async def actions_of_profile(
    tx: AsyncConnection, profile_id: UUID, *, before: Before, limit: int
) -> list[StoredAction]:
    """At most `limit` actions for the person, newest first, behind `before` (created_at, id)."""
    values = _page(before, limit) | {"profile_ids": await person(tx, profile_id)}
    return [_action(row) for row in await tx.execute(_ACTIONS_OF_PROFILES, values)]


async def person(tx: AsyncConnection, profile_id: UUID) -> list[UUID]:
    """The ids of all profiles that are one person with this one; none if it is not known."""
    return list((await tx.execute(_PERSON, {"profile_id": profile_id})).scalars())


def _page(before: Before, limit: int) -> dict[str, Any]:
    return {"before_at": before[0], "before_id": before[1], "limit": limit}


def _decision(row: Row[Any]) -> StoredDecision:
    return StoredDecision(row.id, row.at, orjson.loads(row.body))


def _action(row: Row[Any]) -> StoredAction:
    columns = row._asdict()
    message = orjson.loads(columns.pop("body"))
    return StoredAction(**columns, message=message)
