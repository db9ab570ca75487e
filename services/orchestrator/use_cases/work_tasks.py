"""What people do with tasks: claim, give back, complete. One call is one transaction."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.orchestrator.domain.task import Completion, complete
from services.orchestrator.storage import profile_states, tasks, timers
from services.orchestrator.storage.tasks import Holder, StoredTask
from services.orchestrator.use_cases.absent import absent
from services.orchestrator.use_cases.publish_event import publish_event
from shared.contracts.delivery import event_type
from shared.contracts.topics import Topics
from shared.errors import Conflict
from shared.kafka.messages import OutboxBuffer, PartitionCounts
from shared.observability import metrics
from shared.postgres import audit, outbox
from shared.postgres.transaction import transaction


async def claim_task(
    engine: AsyncEngine, action_id: UUID, holder: Holder, lease: timedelta, *, who: audit.Who
) -> StoredTask:
    """Give the task to the holder until the lease is over, or more time to who has it.

    Raises NotFound, Gone, and Conflict when somebody else has it or it has ended.
    """
    async with transaction(engine) as tx:
        if await tasks.claim(tx, action_id, holder, lease):
            return await _worked(tx, action_id, "claim", holder, who)
        task = await _found(tx, action_id)
    raise Conflict(_why_not(task))


async def claim_next(
    engine: AsyncEngine,
    channel: str,
    queue: str | None,
    holder: Holder,
    lease: timedelta,
    *,
    who: audit.Who,
) -> StoredTask | None:
    """Give the holder the best task of a queue (of all queues of the channel) that nobody has;
    None when there is none."""
    async with transaction(engine) as tx:
        action_id = await tasks.next_free(tx, channel, queue)
        if action_id is None or not await tasks.claim(tx, action_id, holder, lease):
            return None
        return await _worked(tx, action_id, "claim", holder, who)


async def release_task(
    engine: AsyncEngine, action_id: UUID, holder: Holder, *, who: audit.Who
) -> StoredTask:
    """Put the task back into its queue; nothing happens to one that is open.

    Raises NotFound, Gone, and Conflict when somebody else has it or it has ended.
    """
    async with transaction(engine) as tx:
        task = await _found(tx, action_id, lock=True)
        if task.status == "claimed" and task.holder == holder.id:
            await tasks.release(tx, action_id)
            return await _worked(tx, action_id, "release", holder, who)
        if task.status != "open":
            raise Conflict(_why_not(task))
        return task


@dataclass(frozen=True, slots=True)
class Done:
    """What the holder says came of a task."""

    outcome: str
    note: str | None


async def complete_task(
    engine: AsyncEngine,
    action_id: UUID,
    holder: Holder,
    done: Done,
    *,
    who: audit.Who,
    topics: Topics,
    counts: PartitionCounts,
) -> StoredTask:
    """End the task with an outcome, and say so on its channel; saying it again changes nothing.

    Raises NotFound, Gone, and Conflict when somebody else has it, or it ended before. What came of
    a task that was withdrawn or expired while somebody was at it is noted and said all the same.
    """
    async with transaction(engine) as tx:
        before = await _found(tx, action_id)
        await profile_states.lock(tx, [str(before.profile_id)])  # then nobody is erased meanwhile
        task = await _found(tx, action_id, lock=True)
        end = complete(task.status, task.holder, task.outcome, by=holder.id, outcome=done.outcome)
        if end in (Completion.IN_TIME, Completion.TOO_LATE):
            await _end(tx, task, holder, done, end, topics=topics, counts=counts)
            after = await _worked(tx, action_id, "complete", holder, who)
        else:
            after = task
    if end in (Completion.IN_TIME, Completion.TOO_LATE):
        result = "completed" if end is Completion.IN_TIME else "too_late"
        metrics.TASKS_ENDED.labels(result=result).inc()
    if end in (Completion.IN_TIME, Completion.AGAIN):
        return after
    raise Conflict(_why_not(after))


async def _end(
    tx: AsyncConnection,
    task: StoredTask,
    holder: Holder,
    done: Done,
    end: Completion,
    *,
    topics: Topics,
    counts: PartitionCounts,
) -> None:
    await tasks.complete(
        tx,
        task.action_id,
        holder,
        status="completed" if end is Completion.IN_TIME else task.status,
        outcome=done.outcome,
        note=done.note,
    )
    buffer = OutboxBuffer(counts)
    properties: dict[str, Any] = {"action_id": str(task.action_id), "by": holder.name}
    if done.note is not None:
        properties["note"] = done.note
    publish_event(
        buffer,
        topics,
        channel=task.channel,
        message_id=f"{task.action_id}:{done.outcome}:task",
        type=event_type(task.channel, done.outcome),
        profile_id=str(task.profile_id),
        properties=properties,
        occurred_at=await timers.now(tx),
    )
    await outbox.append(tx, buffer)


async def _worked(
    tx: AsyncConnection, action_id: UUID, did: str, holder: Holder, who: audit.Who
) -> StoredTask:
    """The task after something was done with it, which the audit log has from now on: whoever did
    it is shown what the task says."""
    task = await _found(tx, action_id)
    after = {
        "profile_id": task.profile_id,
        "by": holder.name,
        "status": task.status,
        "lease_until": task.lease_until,
        "outcome": task.outcome,
    }
    await audit.append(tx, who=who, kind="task", key=str(action_id), action=did, after=after)
    return task


async def _found(tx: AsyncConnection, action_id: UUID, *, lock: bool = False) -> StoredTask:
    task = await tasks.find(tx, action_id, lock=lock)
    if task is not None:
        return task
    raise await absent(tx, "task", action_id)


def _why_not(task: StoredTask) -> str:
    """Why somebody may not work on a task, in words."""
    match task.status:
        case "claimed":
            return f"{task.holder_name} has the task until {task.lease_until}."
        case "completed":
            return f"{task.holder_name} completed the task: {task.outcome}."
        case "withdrawn":
            return f"The task was withdrawn: {task.reason}."
        case "expired":
            return f"The task expired at {task.expires_at}."
        case _:
            return "Nobody has the task."
