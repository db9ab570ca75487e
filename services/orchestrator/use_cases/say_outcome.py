"""Says on a channel what became of an action: for channel systems over HTTP, and for tasks.

Nothing changes here, but for an action that was shown to somebody unknown. The event comes round
like everybody's, and whoever says it again says the same event.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.orchestrator.domain.channel import default_channels
from services.orchestrator.domain.note_outcome import Heard
from services.orchestrator.storage import profile_states, records, saved, timers
from services.orchestrator.storage.records import StoredAction
from services.orchestrator.use_cases.absent import absent
from services.orchestrator.use_cases.hear_stranger import hear_stranger
from services.orchestrator.use_cases.publish_event import publish_event
from shared import ids
from shared.contracts.delivery import event_type
from shared.contracts.times import rfc3339
from shared.contracts.topics import OWN_SOURCE, Topics
from shared.errors import Gone, Problem, Unprocessable
from shared.kafka.messages import OutboxBuffer, PartitionCounts
from shared.postgres import audit, outbox
from shared.postgres.transaction import transaction


@dataclass(frozen=True, slots=True)
class Saying:
    """What a channel system says of an action. `channel` None is the action's own; `at` None is
    now; `key` tells repetitions from news where outcome and instant do not."""

    outcome: str
    channel: str | None = None
    reason: str | None = None
    at: datetime | None = None
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Said:
    """The event that was published: its publisher's id, and that of its touchpoint."""

    message_id: str
    touchpoint_id: UUID


async def say_outcome(
    engine: AsyncEngine,
    action_id: UUID,
    saying: Saying,
    *,
    who: audit.Who,
    topics: Topics,
    counts: PartitionCounts,
) -> Said:
    """Publish what became of an action, in order with everything else about its person; the audit
    log has `who` said it.

    Raises NotFound, Gone for a person who was erased, Unprocessable for an unknown channel.
    """
    buffer = OutboxBuffer(counts)
    async with transaction(engine) as tx:
        action = await records.action(tx, action_id)
        if action is None:
            raise await absent(tx, "action", action_id)
        channel = saying.channel or action.channel
        await _must_exist(tx, channel)
        at = await timers.now(tx) if saying.at is None else saying.at
        locked = await profile_states.lock(tx, [str(action.profile_id)])
        if any(row.erased for row in locked.values()):
            raise Gone(f"The person of action {action_id} was erased.")
        message_id = _message_id(action, saying)
        touchpoint_id = ids.touchpoint_id(OWN_SOURCE, message_id)
        whose = str(action.profile_id)
        if not locked:  # nobody: no update will bring the event round
            heard = Heard(str(touchpoint_id), action_id, saying.outcome, at, saying.reason)
            whose = await hear_stranger(tx, action.profile_id, heard)
        properties: dict[str, Any] = {"action_id": str(action_id), "rule": action.rule}
        if saying.reason is not None:
            properties["reason"] = saying.reason
        publish_event(
            buffer,
            topics,
            channel=channel,
            message_id=message_id,
            type=event_type(channel, saying.outcome),
            profile_id=whose,
            properties=properties,
            occurred_at=at,
        )
        await outbox.append(tx, buffer)
        after = {"profile_id": whose, "channel": channel, "event_id": message_id, "at": rfc3339(at)}
        await audit.append(
            tx, who=who, kind="delivery_event", key=str(action_id), action=saying.outcome,
            after=after,
        )  # fmt: skip
    return Said(message_id, touchpoint_id)


async def _must_exist(tx: AsyncConnection, channel: str) -> None:
    """Nobody listens to the delivery events of other channels. Raises Unprocessable."""
    if channel in default_channels():
        return
    if await saved.find(tx, saved.Kind.CHANNEL, channel) is None:
        problem = Problem("channel", "unknown", f"there is no channel {channel}")
        raise Unprocessable("The channel is not known.", [problem])


def _message_id(action: StoredAction, saying: Saying) -> str:
    told = [str(action.action_id), saying.outcome]
    if saying.key is not None:
        told.append(saying.key)
    elif saying.at is not None:
        told.append(rfc3339(saying.at))
    return ":".join(told)
