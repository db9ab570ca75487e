"""`/v1/decisions`: why Concert did what it did, and what it did not do."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import Query
from pydantic import BaseModel, ConfigDict

from services.orchestrator.api.sight import (
    mask_decision,
    mask_difference,
    mask_reason,
    note_shown,
    personal_in,
)
from services.orchestrator.storage import records
from services.orchestrator.storage.records import StoredDecision
from services.orchestrator.use_cases.absent import absent, person_of
from services.orchestrator.use_cases.replay_decision import replay_decision
from shared.access import Permission
from shared.errors import Problem, Unprocessable
from shared.http.auth import Principal, requires
from shared.http.masking import may_see
from shared.http.pagination import Page, Paged, instant, split_page
from shared.http.state import Engine
from shared.http.strict_json import api_router
from shared.postgres.transaction import transaction

router = api_router(tags=["decisions"])


class DetailView(BaseModel):
    """The clause that decided: the condition in words, what it wanted and what it saw."""

    model_config = ConfigDict(extra="allow")

    condition: str
    expected: Any = None
    actual: Any = None


class CostView(BaseModel):
    """So much of a scarce resource, and what one of it was worth at that moment, in money."""

    model_config = ConfigDict(extra="allow")

    resource: str
    amount: float
    price: float


class PropensityView(BaseModel):
    """Where the propensity comes from: the mean of Beta(alpha, beta), `learned` or `stated`."""

    model_config = ConfigDict(extra="allow")

    alpha: float
    beta: float
    source: str


class ScoreView(BaseModel):
    """P x C x V x L minus cost, in money; with `customer`, that is weighed against the customer's
    own gain."""

    model_config = ConfigDict(extra="allow")

    p: float
    c: float
    v: float
    l: float  # noqa: E741  the field's name on the wire
    cost: float
    total: float
    costs: list[CostView] = []
    customer: float | None = None
    customer_weight: float | None = None
    propensity: PropensityView | None = None
    probability: float | None = None


class CandidateActionView(BaseModel):
    """One action of a candidate: planned with an id and an instant, or where it was dropped."""

    model_config = ConfigDict(extra="allow")

    index: int
    channel: str
    stage: str
    reason: str
    detail: DetailView | None = None
    action_id: str | None = None
    due_at: str | None = None
    waits_for: str | None = None
    option: int = 0


class HoldoutExposureView(BaseModel):
    """On which side of a holdout the person is."""

    model_config = ConfigDict(extra="allow")

    layer: str
    salt: str
    percent: float
    bucket: int
    held_out: bool


class ExperimentArmView(BaseModel):
    """The arm of the person in the experiment that the rule is part of, and why."""

    model_config = ConfigDict(extra="allow")

    key: str
    version: int
    phase: int
    arm: str
    why: str


class CandidateView(BaseModel):
    """One rule that was considered, the stage it reached, and the reason it stopped there. What a
    node of a journey wanted names the run as well; its rule is `<journey>/<node>`."""

    model_config = ConfigDict(extra="allow")

    rule: str
    version: int
    stage: str
    passed: bool
    reason: str
    detail: DetailView | None = None
    score: ScoreView | None = None
    actions: list[CandidateActionView] = []
    touchpoint_id: str | None = None
    holdouts: list[HoldoutExposureView] = []
    experiment: ExperimentArmView | None = None
    journey: str | None = None
    node: str | None = None
    run: str | None = None


class RetractionView(BaseModel):
    """An action that was taken back, and why; whether its channel had it (`published`, then a
    message follows) or nobody (`pending`)."""

    model_config = ConfigDict(extra="allow")

    action_id: str
    reason: str
    channel: str | None = None
    reached: str | None = None


class ZoneView(BaseModel):
    """The time zone of the person, and where it was found."""

    model_config = ConfigDict(extra="allow")

    name: str
    source: str


class DecisionView(BaseModel):
    """The record of one arbitration, exactly as it was published."""

    model_config = ConfigDict(extra="allow")

    id: str
    profile_id: str
    profile_version: int
    touchpoint_id: str | None
    at: str
    candidates: list[CandidateView]
    outcome: str
    action_ids: list[str]
    retracts: list[RetractionView]
    versions: dict[str, int]
    sentence: str
    zone: ZoneView | None = None


class PlannedActionView(BaseModel):
    """What was done: the action, how far it got, and its message with the content; null for who
    may not see personal data."""

    action_id: UUID
    rule: str
    channel: str
    category: str
    status: str
    reason: str | None
    due_at: datetime
    expires_at: datetime
    message: dict[str, Any] | None


class ExplainedDecisionView(DecisionView):
    """The record, with what came of it."""

    actions: list[PlannedActionView]


class DifferenceView(BaseModel):
    """A place of the record where the answer is another one now."""

    path: str
    recorded: Any
    replayed: Any


class ReplayView(BaseModel):
    """Whether the decision came out the same from what it saw, bit for bit; else where not."""

    decision_id: UUID
    same: bool
    differences: list[DifferenceView]


@router.get("/v1/decisions/{decision_id}", response_model_exclude_unset=True)
async def get_decision(
    decision_id: UUID,
    engine: Engine,
    principal: Annotated[Principal, requires(Permission.READ)],
) -> ExplainedDecisionView:
    """One decision with every candidate and its reason, and what was done with its content."""
    personal = may_see(principal)
    async with transaction(engine) as tx:
        found = await records.decision(tx, decision_id)
        if found is None:
            raise await absent(tx, "decision", decision_id)
        actions = await records.actions_of(tx, [UUID(one) for one in found.body["action_ids"]])
        if personal:
            said = ["actions.message"] if actions else []
            whose = found.body["profile_id"]
            await note_shown(tx, principal, [(whose, [*personal_in(found.body), *said])])
    shown = _view(found, personal=personal).model_dump(exclude_unset=True)
    shown["actions"] = [
        PlannedActionView(
            action_id=one.action_id,
            rule=one.rule,
            channel=one.channel,
            category=one.category,
            status=one.status,
            reason=one.reason if personal else mask_reason(one.reason),
            due_at=one.due_at,
            expires_at=one.expires_at,
            message=one.message if personal else None,
        )
        for one in actions
    ]
    return ExplainedDecisionView.model_validate(shown)


@router.post("/v1/decisions/{decision_id}:replay")
async def replay(
    decision_id: UUID,
    engine: Engine,
    principal: Annotated[Principal, requires(Permission.READ)],
) -> ReplayView:
    """Decide again from what the decision saw, with the configuration of then; nothing is done."""
    personal = may_see(principal)
    async with transaction(engine) as tx:
        found = await replay_decision(tx, decision_id)
        if personal and found.differences:
            await note_shown(tx, principal, [(found.profile_id, ["differences"])])
    return ReplayView(
        decision_id=found.decision_id,
        same=found.same,
        differences=[
            DifferenceView(
                path=one.path,
                recorded=one.recorded if personal else mask_difference(one.path, one.recorded),
                replayed=one.replayed if personal else mask_difference(one.path, one.replayed),
            )
            for one in found.differences
        ],
    )


@router.get("/v1/decisions", response_model_exclude_unset=True)
async def list_decisions(
    engine: Engine,
    paging: Paged,
    principal: Annotated[Principal, requires(Permission.READ)],
    profile_id: Annotated[UUID | None, Query()] = None,
    touchpoint_id: Annotated[UUID | None, Query()] = None,
) -> Page[DecisionView]:
    """Decisions about a person (merged profiles included) or of a touchpoint, newest first."""
    cursor = paging.after(instant, UUID)
    before = records.START if cursor is None else (cursor[0], cursor[1])
    limit, personal = paging.limit + 1, may_see(principal)
    async with transaction(engine) as tx:
        match profile_id, touchpoint_id:
            case UUID() as profile, None:
                person = await person_of(tx, profile)
                rows = await records.decisions_of_person(tx, person, before=before, limit=limit)
            case None, UUID() as touchpoint:
                rows = await records.decisions_of_touchpoint(
                    tx, touchpoint, before=before, limit=limit
                )
            case _:
                problem = Problem("profile_id", "one_of", "either this or touchpoint_id")
                raise Unprocessable("Name a profile_id or a touchpoint_id, one of them.", [problem])
        shown, next_cursor = split_page(rows, paging, lambda row: (row.at, row.id))
        if personal:
            seen = [(row.body["profile_id"], personal_in(row.body)) for row in shown]
            await note_shown(tx, principal, seen)
    items = [_view(row, personal=personal) for row in shown]
    return Page(items=items, next_cursor=next_cursor)


def _view(decision: StoredDecision, *, personal: bool) -> DecisionView:
    """The record; what conditions saw is masked for who may not see personal data."""
    return DecisionView.model_validate(decision.body if personal else mask_decision(decision.body))
