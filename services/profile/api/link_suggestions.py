"""`/v1/link-suggestions`: who may be one person, as a batch found; a person accepts or rejects.

Suggestions say in words what is alike and never show a value, so nothing in them is masked.
"""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import Query

from services.profile.api.link_views import (
    PrecisionView,
    RunBody,
    RunView,
    Score,
    SuggestionView,
    precision_view,
    run_view,
    suggestion_view,
)
from services.profile.api.profiles import Reader
from services.profile.api.state import State
from services.profile.storage import link_runs, link_suggestions
from services.profile.use_cases.judge_links import judge_link
from services.profile.use_cases.request_links import request_links
from shared.access import Permission
from shared.errors import NotFound
from shared.http.auth import Principal, requires
from shared.http.pagination import Page, Paged, split_page
from shared.http.state import Engine
from shared.http.strict_json import api_router
from shared.postgres.transaction import transaction

router = api_router(tags=["link suggestions"])

Editor = Annotated[Principal, requires(Permission.EDIT)]
Corrector = Annotated[Principal, requires(Permission.PRIVACY)]
"""A verdict merges people or keeps them apart, so it takes what doing that by hand takes."""


@router.post("/v1/link-suggestions:run", status_code=202)
async def run_links(body: RunBody, engine: Engine, principal: Editor) -> RunView:
    """Look for profiles that may be one person. The open suggestions of the batch before stay
    until this one is completed."""
    return run_view(await request_links(engine, threshold=body.threshold, who=principal.who))


@router.get("/v1/link-suggestions:run")
async def get_run(engine: Engine, _: Reader) -> RunView:
    """The latest batch, and how far it is."""
    async with transaction(engine) as tx:
        run = await link_runs.latest(tx)
    if run is None:
        raise NotFound("no batch was asked for yet")
    return run_view(run)


@router.get("/v1/link-suggestions:precision")
async def get_precision(engine: Engine, _: Reader) -> PrecisionView:
    """How often suggestions were right, by the verdicts of people."""
    async with transaction(engine) as tx:
        return precision_view(await link_suggestions.judged(tx))


@router.get("/v1/link-suggestions")
async def list_suggestions(
    engine: Engine,
    paging: Paged,
    _: Reader,
    min_score: Annotated[Score, Query(description="At least so likely.")] = 0.0,
    status: Annotated[Literal["open", "accepted", "rejected"] | None, Query()] = None,
) -> Page[SuggestionView]:
    """The most likely first. An open one is left out as soon as a profile of it is merged."""
    cursor = paging.after(_score, UUID)
    async with transaction(engine) as tx:
        rows = await link_suggestions.listed(
            tx,
            min_score=min_score,
            status=status,
            limit=paging.limit + 1,
            after=None if cursor is None else (cursor[0], cursor[1]),
        )
    shown, next_cursor = split_page(rows, paging, lambda one: (one.score, one.id))
    return Page(items=[suggestion_view(one) for one in shown], next_cursor=next_cursor)


@router.post("/v1/link-suggestions/{suggestion_id}:accept")
async def accept_suggestion(
    suggestion_id: UUID, engine: Engine, state: State, principal: Corrector
) -> SuggestionView:
    """They are one person: merge them."""
    return await _judge(engine, state, principal, suggestion_id, accept=True)


@router.post("/v1/link-suggestions/{suggestion_id}:reject")
async def reject_suggestion(
    suggestion_id: UUID, engine: Engine, state: State, principal: Corrector
) -> SuggestionView:
    """They are two people: never suggest the pair again, and let nothing unite them."""
    return await _judge(engine, state, principal, suggestion_id, accept=False)


async def _judge(
    engine: Engine, state: State, principal: Principal, suggestion_id: UUID, *, accept: bool
) -> SuggestionView:
    judged = await judge_link(
        engine,
        suggestion_id,
        accept=accept,
        who=principal.who,
        topics=state.topics,
        counts=state.counts,
        rules=state.rules,
        live=state.live,
    )
    return suggestion_view(judged)


def _score(value: object) -> float:
    """Reads a part of a cursor that is a score. Raises ValueError."""
    if type(value) not in (int, float) or not 0 <= value <= 1:  # type: ignore[operator]
        raise ValueError("no score")
    return float(value)  # type: ignore[arg-type]
