"""The linker as a process: killed at each point it is begun anew, and there is one set of links."""

import pytest
from sqlalchemy import text

from services.profile.storage import link_runs
from services.profile.storage.tables import SCHEMA
from services.profile.use_cases.find_links import POINTS
from services.profile.use_cases.request_links import request_links
from shared.postgres.engine import create_engine
from shared.postgres.transaction import transaction
from tests.integration.profile.test_links import ANN, PEOPLE
from tests.integration.profile.worker import Worker
from tests.support.eventually import eventually
from tests.support.postgres import Database
from tests.support.processes import RoleProcesses


@pytest.mark.parametrize("point", POINTS)
async def test_a_killed_linker_is_followed_by_one_that_finishes(
    point: str, roles: RoleProcesses, database: Database
) -> None:
    engine = create_engine(database.profile, schema=SCHEMA, application="test")
    try:
        await Worker(engine).absorb_in_batches(PEOPLE, 10)
        await request_links(engine, threshold=0.9, who=ANN)
        named = {"CONCERT_MEMBER": "linker-1"}
        first = roles.start("profile", "linker", extra=named | {"CONCERT_CRASH": f"{point}:1"})
        await eventually(lambda: first.exit_code() is not None, within=90)
        assert first.exit_code() == -9, first.log(4000)
        second = await roles.start_ready("profile", "linker", extra=named)

        async def completed() -> bool:
            async with transaction(engine) as tx:
                run = await link_runs.latest(tx)
            assert run is not None
            assert run.status != "failed", run.problem
            return run.status == "completed" and run.attempt == 2 and run.suggestions == 2

        await eventually(completed, within=60)
        async with transaction(engine) as tx:
            statement = text("SELECT count(*), count(DISTINCT run) FROM link_suggestion")
            assert (await tx.execute(statement)).one() == (2, 1)
        line = 'concert_link_runs_total{outcome="completed"} 1.0'
        await eventually(second.metrics, until=lambda shown: line in shown, within=10)
        assert second.terminate() == 0, second.log(4000)
    finally:
        await engine.dispose()
