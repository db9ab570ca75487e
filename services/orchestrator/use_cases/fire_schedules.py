"""Take scheduled rules and journeys to their audience: one event for everybody, when its instant
has come.

The event is an ordinary one of Concert's own. The profile service brings a copy of it to each
member, and a copy triggers the rule, or lets the member into the journey, like any touchpoint.
"""

from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from services.orchestrator.domain.journeys.journey import Journey
from services.orchestrator.domain.rule import Rule
from services.orchestrator.domain.schedule import (
    SCHEDULE_EVENT,
    Schedule,
    last_occurrence,
    next_occurrence,
)
from services.orchestrator.storage import journey_audiences, schedules, timers
from services.orchestrator.storage.draft_kind import Kind
from services.orchestrator.storage.schedules import Due
from services.orchestrator.use_cases.check_configuration import parsed_journey, parsed_rule
from services.orchestrator.use_cases.publish_event import publish_event
from shared.contracts.times import rfc3339
from shared.contracts.topics import OWN_CHANNEL, OWN_SOURCE, Topics
from shared.ids import derived_id, touchpoint_id
from shared.kafka.messages import OutboxBuffer, PartitionCounts
from shared.postgres import outbox
from shared.postgres.transaction import transaction
from shared.runtime.crash import crash_point

SCHEDULE_POINTS = ("orchestrator.schedule_moved",)
"""Where a test may kill the poller while an occurrence is published."""
SCHEDULE_NAMESPACE = UUID("6f1b5a0e-93c5-5d4c-8d6e-0a5e7f2b9c31")
"""Must never change: it keeps the event of an occurrence one, however often it is published."""


async def fire_schedules(
    engine: AsyncEngine, *, topics: Topics, counts: PartitionCounts, limit: int
) -> int:
    """Publish the event of each occurrence that has come, at most `limit`; how many there were.

    Of several missed ones of a rule, the last: nobody is written to for each hour of an outage.
    """
    async with transaction(engine) as tx:
        due = await schedules.lock_due(tx, limit)
        if not due:
            return 0
        now = await timers.now(tx)
        buffer = OutboxBuffer(counts)
        for one in due:
            owner, schedule = _scheduled(one)
            following = None
            if schedule is not None:
                at = last_occurrence(schedule, now)
                if at is not None and owner.is_valid_at(at):
                    event = _publish(buffer, topics, one, schedule, at)
                    if one.kind is Kind.JOURNEY:
                        await journey_audiences.put(tx, one.key, at, event)
                following = next_occurrence(schedule, now)
            if following is None:
                await schedules.remove(tx, one.kind, one.key)
            else:
                await schedules.put(tx, one.kind, one.key, one.version, following)
        crash_point("orchestrator.schedule_moved")
        await outbox.append(tx, buffer)
    return len(due)


def _scheduled(due: Due) -> tuple[Rule | Journey, Schedule | None]:
    if due.kind is Kind.JOURNEY:
        journey = parsed_journey(due.key, due.body, due.version)
        return journey, journey.entry.schedule
    rule = parsed_rule(due.key, due.body, due.version)
    return rule, rule.trigger.schedule


def _publish(
    buffer: OutboxBuffer, topics: Topics, due: Due, schedule: Schedule, at: datetime
) -> UUID:
    """Publish the event of an occurrence; the id of its touchpoint."""
    instant = rfc3339(at)
    whose = (due.key,) if due.kind is Kind.RULE else (due.kind.value, due.key)
    message_id = str(derived_id(SCHEDULE_NAMESPACE, *whose, instant))
    publish_event(
        buffer,
        topics,
        channel=OWN_CHANNEL,
        message_id=message_id,
        type=SCHEDULE_EVENT,
        audience=schedule.audience,
        properties={due.kind.value: due.key, "occurrence": instant},
        occurred_at=at,
    )
    return touchpoint_id(OWN_SOURCE, message_id)
