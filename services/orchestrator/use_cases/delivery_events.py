"""Says on the channel what became of a delivery, in the transaction that settles it."""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from services.orchestrator.use_cases.publish_event import publish_event
from shared.contracts.delivery import DELIVERY, event_type
from shared.contracts.topics import Topics
from shared.kafka.messages import OutboxBuffer


def say(
    buffer: OutboxBuffer,
    topics: Topics,
    *,
    channel: str,
    action_id: UUID,
    profile_id: str,
    outcome: str,
    at: datetime,
    reason: str | None = None,
) -> None:
    """Put the delivery event into the buffer; the same outcome twice is the same event."""
    if outcome not in DELIVERY:
        return
    properties = {"action_id": str(action_id)}
    if reason is not None:
        properties["reason"] = reason
    publish_event(
        buffer,
        topics,
        channel=channel,
        message_id=f"delivery:{action_id}:{outcome}",
        type=event_type(channel, outcome),
        profile_id=profile_id,
        properties=properties,
        occurred_at=at,
    )


def say_all(
    buffer: OutboxBuffer,
    topics: Topics,
    channel: str,
    outcome: str,
    at: datetime,
    deliveries: Iterable[tuple[UUID, str]],
    reason: str | None = None,
) -> None:
    """The same of several: (action, profile) each."""
    for action_id, profile_id in deliveries:
        say(
            buffer, topics, channel=channel, action_id=action_id, profile_id=profile_id,
            outcome=outcome, at=at, reason=reason,
        )  # fmt: skip
