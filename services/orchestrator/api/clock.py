"""`/v1/test-clock`: shift the one business clock of a test deployment; never of production."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from services.orchestrator.storage import business_clock
from services.orchestrator.storage.business_clock import Clock
from services.orchestrator.use_cases.shift_clock import shift_clock
from shared.access import Permission
from shared.conditions.duration import format_duration, parse_duration
from shared.errors import Forbidden, Problem, Unprocessable
from shared.http.auth import Principal, requires
from shared.http.state import Engine
from shared.http.strict_json import api_router
from shared.postgres.transaction import transaction

Operator = Annotated[Principal, requires(Permission.OPERATE)]
Reader = Annotated[Principal, requires(Permission.READ)]


class Advance(BaseModel):
    """How far the clock goes forward."""

    model_config = ConfigDict(extra="forbid")

    advance: str = Field(max_length=50, description="ISO 8601 duration, such as PT12H.")


class ClockView(BaseModel):
    """What the clock shows; `ahead` of the real time, PT0S when not shifted."""

    now: datetime
    ahead: str


def clock_router(*, shiftable: bool) -> APIRouter:
    """The routes; without `shiftable` the two that shift answer 403 to everybody."""
    router = api_router(tags=["test clock"])

    @router.get("/v1/test-clock")
    async def get_clock(engine: Engine, _: Reader) -> ClockView:
        """What time it is for timers, windows, caps and expiries."""
        async with transaction(engine) as tx:
            return _view(await business_clock.read(tx))

    @router.post("/v1/test-clock")
    async def advance_clock(body: Advance, engine: Engine, principal: Operator) -> ClockView:
        """Shift the clock forward; what became due happens at once."""
        _refuse_in_production(shiftable)
        step = parse_duration(body.advance)
        if step is None:
            problem = Problem("advance", "duration", "must be an ISO 8601 duration such as PT12H")
            raise Unprocessable("advance is no duration.", [problem])
        return _view(await shift_clock(engine, step, who=principal.who))

    @router.delete("/v1/test-clock")
    async def reset_clock(engine: Engine, principal: Operator) -> ClockView:
        """Back to the real time."""
        _refuse_in_production(shiftable)
        return _view(await shift_clock(engine, None, who=principal.who))

    return router


def _refuse_in_production(shiftable: bool) -> None:
    if not shiftable:
        raise Forbidden("The clock of a production deployment cannot be shifted.")


def _view(clock: Clock) -> ClockView:
    ahead = format_duration(clock.ahead) if clock.ahead.total_seconds() >= 1 else "PT0S"
    return ClockView(now=clock.now, ahead=ahead)
