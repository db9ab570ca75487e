"""Puts the messages of a batch into the outbox."""

from services.orchestrator.domain.effects import Effects
from services.orchestrator.use_cases.publish_event import publish_event
from shared.contracts.topics import OWN_CHANNEL, Topics
from shared.kafka.messages import OutboxBuffer


def add_messages(buffer: OutboxBuffer, effects: Effects, topics: Topics) -> None:
    """Put the messages of a batch into the outbox, keyed by profile."""
    channels = {message.channel for message in effects.messages}
    named = {one: topics.decisions if one is None else topics.actions(one) for one in channels}
    buffer.require(named.values())
    for message in effects.messages:
        buffer.add(named[message.channel], message.profile_id.encode(), message.value)
    for said in effects.said:
        publish_event(
            buffer,
            topics,
            channel=OWN_CHANNEL,
            message_id=str(said.id),
            type=said.type,
            properties=said.properties,
            occurred_at=said.at,
            profile_id=said.profile_id,
            traits=said.traits,
            context={"hops": said.hops},
        )
