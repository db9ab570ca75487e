"""Let one person, or an audience, into a journey with an `api` entry: by an event of Concert's own.

The event comes round like everybody's; the journey decides then whether they may enter.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.orchestrator.domain.journey_set import ENTER_EVENT
from services.orchestrator.domain.journeys.journey import Journey
from services.orchestrator.storage import erasures, journey_audiences, timers
from services.orchestrator.storage.draft_kind import Kind
from services.orchestrator.use_cases.check_configuration import parsed_journey
from services.orchestrator.use_cases.publish_event import publish_event
from services.orchestrator.use_cases.unseen import audience_of
from shared import ids
from shared.contracts.topics import EVENT_MAX_BYTES, OWN_CHANNEL, OWN_SOURCE, Topics
from shared.errors import Conflict, Gone, Problem, Unprocessable
from shared.kafka.messages import OutboxBuffer, PartitionCounts
from shared.postgres import audit, drafts, outbox
from shared.postgres.drafts import Status
from shared.postgres.transaction import transaction

MAX_BYTES = EVENT_MAX_BYTES - 8192
"""The rest is for what is written out on the way: copies for the members of an audience."""


@dataclass(frozen=True, slots=True)
class Entrance:
    """Who is let in: one person, or everybody of an audience (the JSON of a condition). `event` is
    what the journey sees as the event's properties; the same `key` is the same entrance."""

    profile_id: UUID | None = None
    audience: Mapping[str, Any] | None = None
    event: Mapping[str, Any] | None = None
    key: str | None = None


@dataclass(frozen=True, slots=True)
class LetIn:
    """The event that was published: its publisher's id, and that of its touchpoint."""

    message_id: str
    touchpoint_id: UUID


async def let_in(
    engine: AsyncEngine,
    key: str,
    entrance: Entrance,
    *,
    who: audit.Who,
    topics: Topics,
    counts: PartitionCounts,
) -> LetIn:
    """Publish the event; the audit log has `who` let whom in.

    Raises NotFound, Conflict when the journey lets nobody in this way, Gone for a person who was
    erased, and Unprocessable for an audience that is none or an event that is too large.
    """
    if entrance.audience is not None:
        audience_of(entrance.audience)
    buffer = OutboxBuffer(counts)
    async with transaction(engine) as tx:
        await _open(tx, key)
        whose = entrance.profile_id
        if whose is not None and await erasures.is_profile_erased(tx, whose):
            raise Gone(f"Profile {whose} was erased.")
        now = await timers.now(tx)
        message_id = _message_id(key, entrance)
        event = ids.touchpoint_id(OWN_SOURCE, message_id)
        publish_event(
            buffer,
            topics,
            channel=OWN_CHANNEL,
            message_id=message_id,
            type=ENTER_EVENT,
            properties={**(entrance.event or {}), "journey": key},
            occurred_at=now,
            profile_id=None if whose is None else str(whose),
            audience=entrance.audience,
        )
        _check_size(entrance, buffer)
        if whose is None:
            await journey_audiences.put(tx, key, now, event)
        await outbox.append(tx, buffer)
        named = (
            {"audience": dict(entrance.audience or {})}
            if whose is None
            else {"profile_id": str(whose)}
        )
        await audit.append(
            tx, who=who, kind=Kind.JOURNEY, key=key, action="enter",
            after={**named, "event_id": message_id},
        )  # fmt: skip
    return LetIn(message_id, event)


async def _open(tx: AsyncConnection, key: str) -> Journey:
    """The live version of a journey that is entered this way. Raises NotFound and Conflict."""
    draft = drafts.there(await drafts.find(tx, Kind.JOURNEY, key), "journey", key)
    version = await drafts.version(tx, Kind.JOURNEY, key, draft.live_version)
    if version is None or draft.status not in (Status.LIVE, Status.PAUSED):
        raise Conflict(f"journey {key} is {draft.status}: it lets nobody in.")
    journey = parsed_journey(key, version.body, version.version)
    if journey.entry.kind != "api":
        raise Conflict(f"journey {key} is entered by {journey.entry.kind}, not by being asked.")
    return journey


def _check_size(entrance: Entrance, buffer: OutboxBuffer) -> None:
    """Refuse what the collector would. Raises Unprocessable, which names the larger part."""
    size = max(len(one.value or b"") for _, messages in buffer.items() for one in messages)
    if size > MAX_BYTES:
        parts = {"event": entrance.event, "audience": entrance.audience}
        path = max(parts, key=lambda name: len(msgspec.json.encode(parts[name])))
        problem = Problem(
            path, "max_bytes", f"makes an event of {size} bytes, of at most {MAX_BYTES}"
        )
        raise Unprocessable("The event is too large.", [problem])


def _message_id(key: str, entrance: Entrance) -> str:
    whose = "audience" if entrance.profile_id is None else str(entrance.profile_id)
    return f"enter:{key}:{whose}:{entrance.key or ids.random_id()}"
