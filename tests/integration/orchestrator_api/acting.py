"""Actions and tasks as the worker leaves them, for tests of the API."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from shared import clock, ids
from shared.postgres import outbox

HOUR = timedelta(hours=1)
_PROFILE = text(
    "INSERT INTO profile_state (profile_id, last_seq, merged_into) VALUES (:id, 1, :into)"
    " ON CONFLICT DO NOTHING"
)
_ACTION = text(
    """
    INSERT INTO action (action_id, profile_id, rule, version, entry_key, decision_id, channel,
                        category, status, in_flight, occurred_at, created_at, due_at, expires_at,
                        published_at, kind, body)
    VALUES (:id, :profile, :rule, 1, '', :id, :channel, 'service', 'published', false, :at, :at,
            :at, :at, :at, :kind, :body)
    """
)
_TASK = text(
    """
    INSERT INTO task (action_id, profile_id, channel, queue, status, priority, due_at, expires_at)
    VALUES (:id, :profile, :channel, :queue, 'open', :priority, :at, :expires)
    """
)


async def add_action(
    engine: AsyncEngine,
    profile: UUID,
    *,
    channel: str = "email",
    kind: str = "send",
    queue: str = "",
    rule: str = "welcome",
    priority: float = 0.0,
    expires_in: timedelta = HOUR,
    merged_into: UUID | None = None,
) -> UUID:
    """A published action, with its task if it is one."""
    action_id, at = ids.random_id(), clock.now()
    message: dict[str, Any] = {
        "action_id": str(action_id),
        "profile_id": str(profile),
        "rule": rule,
        "decision_id": str(action_id),
        "to": {"type": "phone", "value": "+33612345678"},
        "content": {"body": "Call Ada"},
    }
    given = {"id": action_id, "profile": profile, "channel": channel, "kind": kind, "at": at,
             "rule": rule}  # fmt: skip
    async with engine.begin() as tx:
        await tx.execute(_PROFILE, {"id": profile, "into": merged_into})
        await tx.execute(_ACTION, given | {"body": orjson.dumps(message)})
        if kind == "task":
            of_task = {"queue": queue, "priority": priority, "expires": at + expires_in}
            await tx.execute(_TASK, given | of_task)
    return action_id


async def published(engine: AsyncEngine, channel: str) -> list[dict[str, Any]]:
    """What waits in the outbox for a channel's topic."""
    async with engine.begin() as tx:
        rows = await tx.execute(
            text("SELECT frame FROM outbox WHERE topic = :topic ORDER BY id"),
            {"topic": f"channel.{channel}"},
        )
        frames = [row.frame for row in rows]
    return [
        orjson.loads(message.value or b"null")
        for frame in frames
        for message in outbox.decode_frame(frame)
    ]


async def run(engine: AsyncEngine, sql: str, **values: Any) -> None:
    async with engine.begin() as tx:
        await tx.execute(text(sql), values)
