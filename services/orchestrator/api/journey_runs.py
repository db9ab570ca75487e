"""`/v1/journeys/{key}/runs` and `/v1/runs/{id}`: who is where in a journey, and what operators do
about it."""

from datetime import UTC, date, datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query

from services.orchestrator.api.run_views import (
    PERSONAL,
    STATUSES,
    BulkBody,
    BulkMoveBody,
    BulkStopBody,
    BulkView,
    ExplainedRunView,
    MoveBody,
    OrderBody,
    RunView,
    StatsView,
    StopBody,
    bulk_view,
    explained_view,
    run_view,
    stats_view,
)
from services.orchestrator.api.sight import note_list, note_shown
from services.orchestrator.domain.journeys.stats import stats_of
from services.orchestrator.storage import journey_runs
from services.orchestrator.storage.draft_kind import Kind
from services.orchestrator.storage.journey_runs import Filter
from services.orchestrator.use_cases.absent import person_of
from services.orchestrator.use_cases.check_configuration import parsed_journey
from services.orchestrator.use_cases.order_run import Means, Order, order_run, order_runs
from services.orchestrator.use_cases.show_run import show_run
from shared.access import Permission
from shared.errors import Problem, Unprocessable
from shared.http.auth import Principal, requires
from shared.http.draft_routes import Key, Reader
from shared.http.drafts import NEWEST
from shared.http.masking import may_see
from shared.http.pagination import Page, Paged, instant, split_page
from shared.http.state import Engine
from shared.http.strict_json import api_router
from shared.postgres import drafts
from shared.postgres.transaction import transaction

JOURNEY = "/v1/journeys/{key}"
RUN = "/v1/runs/{run_id}"
FIRST = UUID(int=0)
LAST = (datetime.max.replace(tzinfo=UTC), UUID(int=2**128 - 1))

Operator = Annotated[Principal, requires(Permission.OPERATE)]


def runs_router(means: Means) -> APIRouter:
    """The routes; orders are carried out with `means`."""
    router = api_router(tags=["journeys"])
    _add_lists(router)
    _add_orders(router, means)
    _add_bulk(router, means)
    return router


def _add_lists(router: APIRouter) -> None:
    @router.get(JOURNEY + "/runs")
    async def list_runs(
        key: Key,
        engine: Engine,
        paging: Paged,
        principal: Reader,
        status: Annotated[STATUSES | None, Query()] = None,
        node: Annotated[str | None, Query(max_length=100)] = None,
        version: Annotated[int | None, Query(ge=1, le=NEWEST)] = None,
        profile_id: Annotated[UUID | None, Query()] = None,
        stuck: Annotated[bool, Query()] = False,
    ) -> Page[RunView]:
        """The runs of a journey, newest first; of a person under any id. `stuck`: only those that
        should have gone on by themselves."""
        before = paging.after(instant, UUID) or LAST
        sees = may_see(principal)
        async with transaction(engine) as tx:
            drafts.there(await drafts.find(tx, Kind.JOURNEY, key), "journey", key)
            person = None if profile_id is None else await person_of(tx, profile_id)
            which = Filter(status, node, version, person, stuck)
            rows = await journey_runs.page(
                tx, key, which, before=(before[0], before[1]), limit=paging.limit + 1
            )
            shown, cursor = split_page(rows, paging, lambda row: (row.entered_at, row.id))
            if sees:
                whose = [row.profile_id for row in shown if row.key]
                await note_list(tx, principal, "runs", fields=PERSONAL, profile_ids=whose)
        return Page(items=[run_view(row, sees=sees) for row in shown], next_cursor=cursor)

    @router.get(RUN)
    async def get_run(run_id: UUID, engine: Engine, principal: Reader) -> ExplainedRunView:
        """One run: where it stands and why, and what happened on its way."""
        sees = may_see(principal)
        async with transaction(engine) as tx:
            shown = await show_run(tx, run_id)
            if sees and shown.run.key:
                await note_shown(tx, principal, [(shown.run.profile_id, PERSONAL)])
        return explained_view(shown, sees=sees)

    @router.get(JOURNEY + "/stats")
    async def get_stats(
        key: Key,
        engine: Engine,
        _: Reader,
        first: Annotated[date | None, Query(alias="from")] = None,
        last: Annotated[date | None, Query(alias="to")] = None,
    ) -> StatsView:
        """What was counted of a journey, from a day to a day (both counted, in UTC), and how many
        runs stand where now."""
        if first is not None and last is not None and last < first:
            problem = Problem("to", "time_order", "must not be earlier than from")
            raise Unprocessable("There is no such time.", [problem])
        async with transaction(engine) as tx:
            draft = drafts.there(await drafts.find(tx, Kind.JOURNEY, key), "journey", key)
            counts = await journey_runs.counts(tx, key, first=first, last=last)
            places = await journey_runs.places(tx, key)
            version = await drafts.version(tx, Kind.JOURNEY, key, draft.live_version)
        nodes = [] if version is None else list(parsed_journey(key, version.body).nodes)
        return stats_view(key, stats_of(counts, places, nodes))


def _add_orders(router: APIRouter, means: Means) -> None:
    async def carry_out(run_id: UUID, order: Order, principal: Principal) -> ExplainedRunView:
        await order_run(means, run_id, order, who=principal.who)
        async with transaction(means.engine) as tx:
            shown = await show_run(tx, run_id)
            sees = may_see(principal)
            if sees and shown.run.key:
                await note_shown(tx, principal, [(shown.run.profile_id, PERSONAL)])
        return explained_view(shown, sees=sees)

    @router.post(RUN + ":move")
    async def move(run_id: UUID, body: MoveBody, principal: Operator) -> ExplainedRunView:
        """Put the run on a node of the version of which its next step is; what it waits for is
        given up. 409 when it is over or has gone on since it was seen."""
        return await carry_out(run_id, Order("move", body.occurrence, body.node), principal)

    @router.post(RUN + ":skip")
    async def skip(run_id: UUID, body: OrderBody, principal: Operator) -> ExplainedRunView:
        """Let the run go on to the next node, without what it waits for."""
        return await carry_out(run_id, Order("skip", body.occurrence), principal)

    @router.post(RUN + ":retry")
    async def retry(run_id: UUID, body: OrderBody, principal: Operator) -> ExplainedRunView:
        """Let the run come to its node once more, as a new step."""
        return await carry_out(run_id, Order("retry", body.occurrence), principal)

    @router.post(RUN + ":stop")
    async def stop(run_id: UUID, body: StopBody, principal: Operator) -> ExplainedRunView:
        """End the run; what it asked for and is still in flight is taken back."""
        order = Order("stop", body.occurrence, reason=body.reason)
        return await carry_out(run_id, order, principal)

    @router.post(RUN + ":pause")
    async def pause(run_id: UUID, body: OrderBody, principal: Operator) -> ExplainedRunView:
        """Hold the run where it stands; reasons to leave act all the same."""
        return await carry_out(run_id, Order("pause", body.occurrence), principal)

    @router.post(RUN + ":resume")
    async def resume(run_id: UUID, body: OrderBody, principal: Operator) -> ExplainedRunView:
        """Let the run go on."""
        return await carry_out(run_id, Order("resume", body.occurrence), principal)


def _add_bulk(router: APIRouter, means: Means) -> None:
    async def carry_out(key: str, body: BulkBody, order: Order, principal: Principal) -> BulkView:
        async with transaction(means.engine) as tx:
            asked = body.filter
            person = None if asked.profile_id is None else await person_of(tx, asked.profile_id)
        carried = await order_runs(
            means,
            key,
            Filter(asked.status, asked.node, asked.version, person, asked.stuck),
            order,
            after=body.cursor or FIRST,
            limit=body.limit,
            dry_run=body.dry_run,
            who=principal.who,
        )
        return bulk_view(carried, dry_run=body.dry_run)

    @router.post(JOURNEY + "/runs:stop")
    async def stop_runs(key: Key, body: BulkStopBody, principal: Operator) -> BulkView:
        """End the runs that are meant, at most `limit` in one call."""
        return await carry_out(key, body, Order("stop", reason=body.reason), principal)

    @router.post(JOURNEY + "/runs:move")
    async def move_runs(key: Key, body: BulkMoveBody, principal: Operator) -> BulkView:
        """Put the runs that are meant on a node, at most `limit` in one call."""
        return await carry_out(key, body, Order("move", node=body.node), principal)

    @router.post(JOURNEY + "/runs:skip")
    async def skip_runs(key: Key, body: BulkBody, principal: Operator) -> BulkView:
        """Let the runs that are meant go on to the next node, at most `limit` in one call."""
        return await carry_out(key, body, Order("skip"), principal)
