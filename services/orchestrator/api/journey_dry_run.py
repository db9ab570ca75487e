"""`POST /v1/journeys/{key}:dry-run`: one person goes through a journey in no time.

The person is described in the body: nobody's data is read, nothing is stored, nobody is contacted.
"""

from collections.abc import Callable

from fastapi import APIRouter

from services.orchestrator.api.dry_run_views import (
    DryRunRequest,
    DryRunView,
    dry_run_view,
    script_of,
)
from services.orchestrator.domain.trigger_index import RuleSet
from services.orchestrator.use_cases.dry_run_journey import dry_run_journey
from shared.http.draft_routes import Key, Reader
from shared.http.state import Engine
from shared.http.strict_json import api_router


def dry_run_router(ruleset: Callable[[], RuleSet]) -> APIRouter:
    """The route; `ruleset` gives the configuration in force."""
    router = api_router(tags=["journeys"])

    @router.post("/v1/journeys/{key}:dry-run", name="dry_run_journey")
    async def try_out(key: Key, body: DryRunRequest, engine: Engine, _: Reader) -> DryRunView:
        """Let one person, who is described in the body, go through the draft or a version, with
        chosen answers, events and a clock that moves: every step with its instant, what would be
        sent, and where the run stands in the end. At most 2,000 steps are shown. Nothing is stored,
        and nobody is contacted."""
        tried = await dry_run_journey(engine, key, script_of(body), ruleset())
        return dry_run_view(key, body.version, tried)

    return router
