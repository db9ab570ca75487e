"""Ends tasks that nobody did in time: a task is expired, and that is said on its channel.

Whoever holds a task may finish it, also after its time: it expires when their lease is over. The
action changes when the event comes round, like with every other outcome.
"""

from collections.abc import Sequence
from uuid import UUID

from services.orchestrator.domain.effects import EXPIRE
from services.orchestrator.domain.release import close
from services.orchestrator.domain.timer import Timer
from services.orchestrator.storage import tasks
from services.orchestrator.storage.tasks import StoredTask
from services.orchestrator.storage.timers import Fired
from services.orchestrator.use_cases.publish_event import publish_event
from services.orchestrator.use_cases.timer_round import Fire, Round, in_flight, situation_in
from shared.contracts.delivery import event_type

EXPIRED = "expired"


async def expire_tasks(round_: Round, timers: Sequence[Fired]) -> Fire:
    """Tasks whose time is up, unless somebody is at them, or they are done already."""
    known = await tasks.lock(round_.tx, [timer.ref for timer in timers])
    due = [timer.ref for timer in timers if in_flight(round_, timer) is not None]
    over = [one for one in due if one in known and known[one].status == EXPIRED]
    await tasks.expire(round_.tx, over)

    def fire(timer: Fired) -> None:
        action, task = in_flight(round_, timer), known.get(timer.ref)
        if action is None:
            return
        if task is not None and task.status == "claimed" and task.lease_left is not None:
            again = Timer(
                round_.at + task.lease_left, EXPIRE, timer.profile_id, timer.ref, timer.gen
            )
            round_.effects.timers.append(again)
        elif task is not None and task.status == EXPIRED:
            _tell(round_, task, timer.ref)
        else:
            close(action, situation_in(round_, action, timer.profile_id), round_.effects)

    return fire


def _tell(round_: Round, task: StoredTask, action_id: UUID) -> None:
    publish_event(
        round_.buffer,
        round_.topics,
        channel=task.channel,
        message_id=f"{action_id}:{EXPIRED}",
        type=event_type(task.channel, EXPIRED),
        profile_id=str(task.profile_id),
        properties={"action_id": str(action_id), "reason": "nobody did it in time"},
        occurred_at=round_.at,
    )
