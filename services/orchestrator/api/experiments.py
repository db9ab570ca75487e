"""`/v1/experiments`: edited as a draft, published with a share of people, read out, ended; and the
lift over holdouts."""

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from services.orchestrator.api.configuration_body import PublishRequest
from services.orchestrator.api.experiment_views import (
    CalledView,
    ConcludeNodeRequest,
    ConcludeRequest,
    LiftsView,
    PlanView,
    ReadOutsView,
    ReadOutView,
    StateView,
    StopRequest,
    lift_view,
    read_out_view,
)
from services.orchestrator.connectors.profile_definitions import ProfileDefinitions
from services.orchestrator.domain.experiments.experiment_document import MAX_ARMS, MIN_ARMS
from services.orchestrator.domain.experiments.intervals import people_needed
from services.orchestrator.domain.experiments.layers import size
from services.orchestrator.domain.trigger_index import RuleSet
from services.orchestrator.storage import experiments, timers
from services.orchestrator.storage.draft_kind import Kind
from services.orchestrator.use_cases.change_experiment import (
    archive_experiment,
    conclude_experiment,
    stop_experiment,
)
from services.orchestrator.use_cases.conclude_node import conclude_node
from services.orchestrator.use_cases.count_experiment import read_experiment, read_journey
from services.orchestrator.use_cases.publish_draft import publish_draft
from services.orchestrator.use_cases.read_lift import measurable, read_lift
from services.orchestrator.use_cases.save_draft import save_draft
from services.orchestrator.use_cases.validate_draft import validate_draft
from shared.errors import Problem, Unprocessable
from shared.http.draft_routes import Key, Publisher, Reader, add_drafting, add_reading
from shared.http.drafts import DraftView, draft_view
from shared.http.etag import IfMatch, check_if_match
from shared.http.state import Engine
from shared.http.strict_json import api_router
from shared.postgres.drafts import Draft
from shared.postgres.transaction import transaction

PATH = "/v1/experiments"
LEAST_DIFFERENCE = 0.0001
Share = Annotated[float, Query(gt=0.0, lt=1.0)]


def experiments_router(
    definitions: ProfileDefinitions, ruleset: Callable[[], RuleSet]
) -> APIRouter:
    """The routes. `ruleset` gives the configuration in force, which says what is held out."""
    router = api_router(tags=["experiments"])
    _add_publishing(router, definitions)
    _add_ending(router)
    _add_ending_at_nodes(router)
    _add_planning(router)
    _add_reading_out(router, ruleset)
    add_reading(router, Kind.EXPERIMENT, PATH, named="experiment", more=_more)
    validate = partial(validate_draft, definitions=definitions)
    add_drafting(router, Kind.EXPERIMENT, PATH, save=save_draft, validate=validate)
    return router


async def _more(tx: AsyncConnection, draft: Draft) -> dict[str, Any]:
    """How it runs, if it was ever published."""
    state = await experiments.state(tx, draft.key)
    if state is None:
        return {"running": None}
    view = StateView(
        phase=state.phase,
        phase_at=state.phase_at,
        holds=size(state.traffic),
        stopped=sorted(state.stopped),
        winner=state.winner,
        ended=state.ended,
        over_at=state.over_at,
        called=None if state.called is None else CalledView.model_validate(state.called),
    )
    return {"running": view.model_dump(mode="json")}


def _add_publishing(router: APIRouter, definitions: ProfileDefinitions) -> None:
    @router.post(PATH + "/{key}:publish", name="publish_experiment")
    async def publish(
        key: Key,
        engine: Engine,
        response: Response,
        principal: Publisher,
        body: PublishRequest | None = None,
        if_match: IfMatch = None,
    ) -> DraftView:
        """Make the draft the next version, with as many people of its layer as its traffic says;
        refused, with who holds the others, when the layer has not so many left. Another question
        begins a new phase. A draft that is live already makes no new version."""
        published = await publish_draft(
            engine,
            Kind.EXPERIMENT,
            key,
            register=definitions.register_leaves,
            may_replace=partial(check_if_match, if_match),
            who=principal.who,
        )
        view = draft_view(published.draft, response)
        return view if published.is_new else view.model_copy(update={"unchanged": True})


def _add_ending(router: APIRouter) -> None:
    @router.post(PATH + "/{key}:stop", name="stop_experiment")
    async def stop(
        key: Key,
        engine: Engine,
        response: Response,
        principal: Publisher,
        body: StopRequest | None = None,
    ) -> DraftView:
        """Stop an arm, whose people get what the control gets from now on, or all of it."""
        arm = (body or StopRequest(arm=None)).arm
        return draft_view(await stop_experiment(engine, key, arm, who=principal.who), response)

    @router.post(PATH + "/{key}:conclude", name="conclude_experiment")
    async def conclude(
        key: Key,
        body: ConcludeRequest,
        engine: Engine,
        response: Response,
        principal: Publisher,
    ) -> DraftView:
        """One arm is for everybody from now on, whether they took part or not."""
        draft = await conclude_experiment(engine, key, body.arm, who=principal.who)
        return draft_view(draft, response)

    @router.post(PATH + "/{key}:archive", name="archive_experiment")
    async def archive(
        key: Key, engine: Engine, response: Response, principal: Publisher
    ) -> DraftView:
        """Take it out of force; rules for its arms act for nobody any more."""
        return draft_view(await archive_experiment(engine, key, who=principal.who), response)


def _add_ending_at_nodes(router: APIRouter) -> None:
    @router.post("/v1/journeys/{key}:conclude", name="conclude_journey_node", tags=["journeys"])
    async def conclude_node_(
        key: Key,
        body: ConcludeNodeRequest,
        engine: Engine,
        response: Response,
        principal: Publisher,
    ) -> DraftView:
        """One arm of a node that is an experiment takes all who come there from now on."""
        draft = await conclude_node(engine, key, body.node, body.arm, who=principal.who)
        return draft_view(draft, response)


def _add_planning(router: APIRouter) -> None:
    @router.get(PATH + ":plan")
    async def plan_experiment(
        _: Reader,
        share: Share,
        hoped: Share,
        arms: Annotated[int, Query(ge=MIN_ARMS, le=MAX_ARMS)] = MIN_ARMS,
        confidence: Annotated[float, Query(ge=0.8, le=0.999)] = 0.95,
        power: Annotated[float, Query(ge=0.5, le=0.99)] = 0.8,
    ) -> PlanView:
        """How many people show that a share goes from `share` to `hoped`, with probability `power`,
        where each of the `arms` beside the control is compared with it; arms of equal weight."""
        if abs(hoped - share) < LEAST_DIFFERENCE:
            problem = Problem("hoped", "too_near", f"differs by {LEAST_DIFFERENCE} or more")
            raise Unprocessable("No number of people shows that.", [problem])
        alpha = (1.0 - confidence) / (arms - 1)
        in_each = people_needed(share, hoped, alpha=alpha, power=power)
        return PlanView(in_each_arm=in_each, sample=in_each * arms)


def _add_reading_out(router: APIRouter, ruleset: Callable[[], RuleSet]) -> None:
    @router.get(PATH + "/{key}/read-out")
    async def get_read_out(key: Key, engine: Engine, _: Reader) -> ReadOutView:
        """What may be said of it now; of one that is over, as of when it was."""
        async with transaction(engine) as tx:
            return read_out_view(await read_experiment(tx, key))

    @router.get("/v1/journeys/{key}/read-out", tags=["journeys"])
    async def get_read_out_of_journey(key: Key, engine: Engine, _: Reader) -> ReadOutsView:
        """What may be said now of the nodes of a journey that are experiments; its goal is what is
        measured."""
        async with transaction(engine) as tx:
            found = await read_journey(tx, key)
        return ReadOutsView(items=[read_out_view(one) for one in found])

    @router.get("/v1/holdouts/lift")
    async def get_lift(engine: Engine, _: Reader) -> LiftsView:
        """What everything brought beside whom it was held out from: each holdout of a contact
        policy or a rule that has a metric, and of a journey that has a goal."""
        wanted = list(measurable(ruleset()))
        async with transaction(engine) as tx:
            until = await timers.now(tx)
            found = [await read_lift(tx, one, until) for one in wanted]
        return LiftsView(until=until, items=[lift_view(one) for one in found])
