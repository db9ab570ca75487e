"""Sends somebody a template as a test: past every cap, but not past the kill switch."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.orchestrator.domain.channel import Channel, default_channels, parse_channel
from services.orchestrator.domain.mail_address import ascii_address
from services.orchestrator.storage import deliveries, saved, timers
from services.orchestrator.storage.deliveries import DeliveryRow
from shared import ids
from shared.contracts.action import Action, action_encoder
from shared.contracts.times import rfc3339
from shared.contracts.topics import Topics
from shared.contracts.touchpoint import Identifier
from shared.errors import Conflict, NotFound, Problem, TooMany, Unprocessable
from shared.kafka.messages import OutboxBuffer, PartitionCounts
from shared.postgres import audit, outbox
from shared.postgres.transaction import transaction

LIFE = timedelta(hours=1)
"""A test is not sent later than that."""
MINUTE, A_MINUTE = timedelta(minutes=1), 10
"""So many tests a minute, by everybody together."""
NOBODY = UUID(int=0)


@dataclass(frozen=True, slots=True)
class Sent:
    """A test on its way."""

    action_id: UUID
    channel: str


async def channel_of(tx: AsyncConnection, key: str | None) -> Channel:
    """The channel a template is sent on. Raises Unprocessable, NotFound."""
    if key is None:
        problem = Problem("channel", "required", "is missing, and the template has none")
        raise Unprocessable("On which channel?", [problem])
    row = await saved.find(tx, saved.Kind.CHANNEL, key)
    channel = default_channels().get(key)
    if row is not None:
        channel = parse_channel(row.body, key=row.key, version=row.version)
    if channel is None:
        raise NotFound(f"There is no channel {key}.")
    return channel


async def send_test(
    engine: AsyncEngine,
    channel: Channel,
    *,
    template: str,
    to: str,
    profile_id: UUID | None,
    content: Mapping[str, Any],
    topics: Topics,
    counts: PartitionCounts,
    who: audit.Who,
) -> Sent:
    """Queue the rendered content for one address. Raises Conflict when the channel is off,
    TooMany, and Unprocessable for what is no address."""
    if not channel.enabled:
        raise Conflict(f"The channel {channel.key} is switched off.")
    if channel.connector == "smtp" and ascii_address(to) is None:
        problem = Problem("to", "address", "is no e-mail address")
        raise Unprocessable("The test cannot be sent.", [problem])
    id_ = ids.time_ordered_id()
    async with transaction(engine) as tx:
        now = await timers.now(tx)
        if await deliveries.tests_within(tx, MINUTE) >= A_MINUTE:
            raise TooMany(f"At most {A_MINUTE} tests a minute.", retry_after=60)
        expires = now + LIFE
        action = Action(
            action_id=str(id_),
            idempotency_key=str(id_),
            kind="send",
            profile_id=str(profile_id or NOBODY),
            channel=channel.key,
            category="transactional",
            to=Identifier(channel.address[0] if channel.address else "address", to),
            decision_id=str(NOBODY),
            content=dict(content),
            expires_at=rfc3339(expires),
            test=True,
        )
        body = action_encoder.encode(action)
        row = DeliveryRow(id_, channel.key, action.profile_id, now, expires, body, test=True)
        await deliveries.queue(tx, [row])
        if not channel.is_built_in:
            await deliveries.handed_over(tx, id_)
        buffer = OutboxBuffer(counts)
        buffer.add(topics.actions(channel.key), action.profile_id.encode(), body)
        await outbox.append(tx, buffer)
        after = {"channel": channel.key, "action_id": str(id_)}
        await audit.append(
            tx, who=who, kind="template", key=template, action="test_send", after=after
        )
    return Sent(id_, channel.key)
