"""`/v1/tasks`: what people at tills, phones and shop floors have to do for customers."""

from datetime import datetime, timedelta
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from services.orchestrator.api.sight import mask_reason, note_list, note_shown
from services.orchestrator.domain.rule import MAX_QUEUE
from services.orchestrator.storage import tasks
from services.orchestrator.storage.tasks import Holder, StoredTask, Wanted
from services.orchestrator.use_cases import work_tasks
from services.orchestrator.use_cases.absent import absent, person_of
from services.orchestrator.use_cases.work_tasks import Done
from shared.access import Permission, is_allowed
from shared.conditions.duration import parse_duration
from shared.contracts.delivery import OutcomeName
from shared.contracts.topics import Topics
from shared.errors import Problem, Unprocessable
from shared.http.auth import Principal, requires
from shared.http.masking import may_see
from shared.http.pagination import Page, Paged, instant, split_page
from shared.http.state import Engine
from shared.http.strict_json import api_router
from shared.kafka.messages import PartitionCounts
from shared.observability.masking import MASK
from shared.postgres.transaction import transaction

DEFAULT_LEASE = "PT15M"
MAX_LEASE = timedelta(hours=24)
MAX_AGENT = 100
SHOWN = ("content", "note", "queue", "to")
"""What of a task is personal."""

Reader = Annotated[Principal, requires(Permission.READ_TASKS)]
Worker = Annotated[Principal, requires(Permission.SERVE)]
Status = Literal["open", "claimed", "completed", "expired", "withdrawn"]


class TaskView(BaseModel):
    """One task. `id` is its action's; for who may not see them `content` and `to` are null, and a
    `queue` whose name was rendered for the customer is masked."""

    id: UUID
    action_id: UUID
    profile_id: UUID
    channel: str
    queue: str
    status: Status
    priority: float
    due_at: datetime
    expires_at: datetime
    claimed_by: str | None
    lease_until: datetime | None
    outcome: str | None
    note: str | None
    reason: str | None
    ended_at: datetime | None
    rule: str | None
    decision_id: str | None
    to: dict[str, Any] | None
    content: dict[str, Any] | None


class AgentBody(BaseModel):
    """Who works; `agent` tells people apart who share a token."""

    model_config = ConfigDict(extra="forbid")

    agent: str | None = Field(None, min_length=1, max_length=MAX_AGENT)


class ClaimBody(AgentBody):
    """For how long the task is theirs."""

    lease: str = Field(DEFAULT_LEASE, description="ISO 8601 duration, at most PT24H")


class NextBody(ClaimBody):
    """From which queue; without one, from all queues of the channel."""

    channel: str = Field(pattern=r"^[a-z0-9_]{1,64}$")
    queue: str | None = Field(None, max_length=MAX_QUEUE)


class CompleteBody(AgentBody):
    """What came of it."""

    outcome: OutcomeName
    note: str | None = Field(None, min_length=1, max_length=2_000)


def tasks_router(topics: Topics, counts: PartitionCounts) -> APIRouter:
    """The routes; `topics` and `counts` say where events go."""
    router = api_router(tags=["tasks"])
    _add_reading(router)
    _add_claiming(router)
    _add_ending(router, topics, counts)
    return router


def _add_reading(router: APIRouter) -> None:
    @router.get("/v1/tasks")
    async def list_tasks(
        engine: Engine,
        paging: Paged,
        principal: Reader,
        profile_id: Annotated[UUID | None, Query()] = None,
        channel: Annotated[str | None, Query(max_length=64)] = None,
        queue: Annotated[str | None, Query(max_length=MAX_QUEUE)] = None,
        status: Annotated[Status | None, Query()] = None,
    ) -> Page[TaskView]:
        """Tasks, the most valuable first and of these the oldest; of a person under any id. Who may
        not see a rendered queue does not find it by its name either."""
        cursor = paging.after(_number, instant, UUID)
        async with transaction(engine) as tx:
            person = None if profile_id is None else await person_of(tx, profile_id)
            wanted = Wanted(person, channel, queue, status, rendered=_sees(principal))
            after = tasks.FIRST if cursor is None else (cursor[0], cursor[1], cursor[2])
            rows = await tasks.page(tx, wanted, after=after, limit=paging.limit + 1)
            shown, following = split_page(
                rows, paging, lambda row: (row.priority, row.due_at, row.action_id)
            )
            if _sees(principal):
                whose = [row.profile_id for row in shown]
                await note_list(tx, principal, "tasks", fields=SHOWN, profile_ids=whose)
        return Page(items=[_view(row, principal) for row in shown], next_cursor=following)

    @router.get("/v1/tasks/{task_id}")
    async def get_task(task_id: UUID, engine: Engine, principal: Reader) -> TaskView:
        """One task, as it stands now."""
        async with transaction(engine) as tx:
            found = await tasks.find(tx, task_id)
            if found is None:
                raise await absent(tx, "task", task_id)
            if _sees(principal):
                await note_shown(tx, principal, [(found.profile_id, SHOWN)])
        return _view(found, principal)


def _add_claiming(router: APIRouter) -> None:
    @router.post("/v1/tasks/{task_id}:claim")
    async def claim(
        task_id: UUID, engine: Engine, principal: Worker, body: ClaimBody | None = None
    ) -> TaskView:
        """Have the task for yourself until the lease is over; again by who has it: longer."""
        asked = body or ClaimBody()
        holder, lease = _holder(principal, asked), _lease(asked)
        claimed = await work_tasks.claim_task(engine, task_id, holder, lease, who=principal.who)
        return _view(claimed, principal)

    @router.post("/v1/tasks:claim", responses={204: {"description": "Nothing is free."}})
    async def claim_next(
        body: NextBody, engine: Engine, principal: Worker, response: Response
    ) -> TaskView | None:
        """The best task of a queue that nobody has; 204 when there is none."""
        found = await work_tasks.claim_next(
            engine,
            body.channel,
            body.queue,
            _holder(principal, body),
            _lease(body),
            who=principal.who,
        )
        if found is None:
            response.status_code = 204
            return None
        return _view(found, principal)


def _add_ending(router: APIRouter, topics: Topics, counts: PartitionCounts) -> None:
    @router.post("/v1/tasks/{task_id}:release")
    async def release(
        task_id: UUID, engine: Engine, principal: Worker, body: AgentBody | None = None
    ) -> TaskView:
        """Put the task back into its queue."""
        holder = _holder(principal, body or AgentBody())
        released = await work_tasks.release_task(engine, task_id, holder, who=principal.who)
        return _view(released, principal)

    @router.post("/v1/tasks/{task_id}:complete")
    async def complete(
        task_id: UUID, body: CompleteBody, engine: Engine, principal: Worker
    ) -> TaskView:
        """Say what came of the task; it is published as an event of its channel.

        409 when somebody else has it or it ended; what came of a task that was withdrawn while you
        were at it is published all the same.
        """
        done = Done(body.outcome, body.note)
        ended = await work_tasks.complete_task(
            engine,
            task_id,
            _holder(principal, body),
            done,
            who=principal.who,
            topics=topics,
            counts=counts,
        )
        return _view(ended, principal)


def _holder(principal: Principal, body: AgentBody) -> Holder:
    if body.agent is None:
        return Holder(principal.token_id, principal.name)
    return Holder(f"{principal.token_id}:{body.agent}", body.agent)


def _lease(body: ClaimBody) -> timedelta:
    lease = parse_duration(body.lease)
    if lease is None or not timedelta(0) < lease <= MAX_LEASE:
        problem = Problem("lease", "duration", "is an ISO 8601 duration of at most PT24H")
        raise Unprocessable("The lease is no time for which a task can be had.", [problem])
    return lease


def _number(value: Any) -> float:
    """Reads a part of a cursor that is a number. Raises ValueError."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("no number")
    return float(value)


def _sees(principal: Principal) -> bool:
    return is_allowed(principal.roles, Permission.SERVE) or may_see(principal)


def _view(task: StoredTask, principal: Principal) -> TaskView:
    """The task; what it says of the customer only for who serves customers, or may see personal
    data."""
    sees = _sees(principal)
    message = task.message
    return TaskView(
        id=task.action_id,
        action_id=task.action_id,
        profile_id=task.profile_id,
        channel=task.channel,
        queue=task.queue if sees or task.is_queue_written else MASK,
        status=task.status,
        priority=task.priority,
        due_at=task.due_at,
        expires_at=task.expires_at,
        claimed_by=task.holder_name,
        lease_until=task.lease_until,
        outcome=task.outcome,
        note=task.note if sees else None,
        reason=task.reason if sees else mask_reason(task.reason),
        ended_at=task.ended_at,
        rule=message.get("rule"),
        decision_id=message.get("decision_id"),
        to=message.get("to") if sees else None,
        content=message.get("content", {}) if sees else None,
    )
