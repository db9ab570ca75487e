"""`:simulate` of a draft, and `/v1/simulations`: what it would have changed in a period.

People are named by their profile ids and by nothing else, so nothing here is masked; but a draft
that asks for personal data is rehearsed only for who may read it: for whom something changes would
tell what is hidden.
"""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import orjson
from fastapi import APIRouter
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from services.orchestrator.storage import simulations
from services.orchestrator.storage.draft_kind import Kind
from services.orchestrator.storage.simulations import Simulation
from services.orchestrator.use_cases.rehearsal.request import (
    Rehearsing,
    cancel_rehearsal,
    request_rehearsal,
)
from services.orchestrator.use_cases.unseen import TraitClasses
from shared.errors import NotFound
from shared.http.draft_routes import Editor, Key, Reader
from shared.http.masking import may_see
from shared.http.pagination import Page, Paged, instant, split_page
from shared.http.state import Engine
from shared.http.strict_json import api_router
from shared.postgres.transaction import transaction

PATHS = {
    Kind.RULE: "/v1/rules",
    Kind.CONTACT_POLICY: "/v1/contact-policies",
    Kind.JOURNEY: "/v1/journeys",
}


class PeriodBody(BaseModel):
    """The period: from an instant on, until before another; later than now is now."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    from_: AwareDatetime = Field(alias="from")
    to: AwareDatetime


class Requested(BaseModel):
    """The simulation, which waits for its turn."""

    simulation_id: UUID


class Progress(BaseModel):
    """How many of the recorded updates were gone through; those before `from` among them."""

    done: int
    total: int
    percent: float


class SimulationView(BaseModel):
    """A simulation. Of every count both sides are shown: `live` and `draft`."""

    id: UUID
    kind: str
    key: str
    from_: datetime = Field(serialization_alias="from")
    to: datetime
    known_from: datetime = Field(
        description="From here on the past is known: what happened until `from` is not counted."
    )
    status: Literal["queued", "running", "completed", "failed", "cancelled"]
    progress: Progress
    problem: str | None
    warnings: list[dict[str, str]]
    requested_by: str
    requested_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class ResultView(SimulationView):
    """A simulation with its result. `changed` names the first people for whom something is
    different, `changed_total` counts all; `digest` is the same for the same result. Of a draft that
    asks for personal data, who may not read that is shown nothing of it."""

    counts: dict[str, Any] | None
    changed: list[dict[str, Any]]
    changed_total: int | None
    digest: str | None


def simulations_router(rehearsing: Rehearsing, definitions: TraitClasses) -> APIRouter:
    """The routes of simulations; `definitions` knows which traits are personal."""
    router = api_router(tags=["simulations"])
    for kind, path in PATHS.items():
        _add_simulate(router, kind, path, rehearsing, definitions)
    _add_reading(router)

    @router.post("/v1/simulations/{simulation_id}:cancel")
    async def cancel_simulation(
        simulation_id: UUID, engine: Engine, principal: Editor
    ) -> SimulationView:
        """Let it be over; what works at it stops within two seconds."""
        return _view(await cancel_rehearsal(engine, simulation_id, who=principal.who))

    return router


def _add_simulate(
    router: APIRouter, kind: Kind, path: str, rehearsing: Rehearsing, definitions: TraitClasses
) -> None:
    @router.post(path + "/{key}:simulate", status_code=202, name=f"simulate_{kind}")
    async def simulate(key: Key, body: PeriodBody, engine: Engine, principal: Editor) -> Requested:
        """Go through the recorded updates of a period with the draft in place of what is live, and
        without it; nothing is sent. A period that is no longer kept is refused with the earliest
        instant; so is a draft that asks for personal data you may not read: 422."""
        made = await request_rehearsal(
            engine,
            kind,
            key,
            starts=body.from_,
            ends=body.to,
            rehearsing=rehearsing,
            definitions=definitions,
            sees=may_see(principal),
            who=principal.who,
        )
        return Requested(simulation_id=made.id)


def _add_reading(router: APIRouter) -> None:
    @router.get("/v1/simulations")
    async def list_simulations(engine: Engine, paging: Paged, _: Reader) -> Page[SimulationView]:
        """The newest first, without their results."""
        cursor = paging.after(instant, UUID)
        after = None if cursor is None else (cursor[0], cursor[1])
        async with transaction(engine) as tx:
            rows = await simulations.page(tx, after=after, limit=paging.limit + 1)
        shown, next_cursor = split_page(rows, paging, lambda one: (one.requested_at, one.id))
        return Page(items=[_view(one) for one in shown], next_cursor=next_cursor)

    @router.get("/v1/simulations/{simulation_id}")
    async def get_simulation(simulation_id: UUID, engine: Engine, principal: Reader) -> ResultView:
        """One simulation: how far it is, and what it found."""
        async with transaction(engine) as tx:
            one = await simulations.find(tx, simulation_id)
            if one is None:
                raise NotFound(f"There is no simulation {simulation_id}.")
            changed = await simulations.changed(tx, simulation_id)
        if one.personal and not may_see(principal):
            one, changed = one._replace(counts=None, changed_total=None, digest=None), []
        return ResultView(
            **_view(one).model_dump(),
            counts=None if one.counts is None else orjson.loads(one.counts),
            changed=[orjson.loads(body) for body in changed],
            changed_total=one.changed_total,
            digest=one.digest,
        )


def _view(one: Simulation) -> SimulationView:
    percent = 100.0 * one.done / one.total if one.total else 0.0
    return SimulationView(
        id=one.id,
        kind=one.kind,
        key=one.key,
        from_=one.from_at,
        to=one.to_at,
        known_from=one.warm_at,
        status=one.status,
        progress=Progress(
            done=one.done,
            total=one.total,
            percent=100.0 if one.status == "completed" else round(percent, 1),
        ),
        problem=one.problem,
        warnings=orjson.loads(one.warnings),
        requested_by=one.requested_by_name,
        requested_at=one.requested_at,
        started_at=one.started_at,
        finished_at=one.finished_at,
    )
