"""The role that rehearses as a process: killed at each point, another finishes what was begun."""

from datetime import datetime

import pytest
from sqlalchemy import text

from services.orchestrator.domain.estimates import Estimates
from services.orchestrator.storage import simulations
from services.orchestrator.storage.draft_kind import Kind
from services.orchestrator.use_cases.rehearsal.rehearser import POINTS
from services.orchestrator.use_cases.rehearsal.request import Rehearsing, request_rehearsal
from services.orchestrator.use_cases.save_draft import save_draft
from shared import clock
from shared.contracts.topics import Topics
from shared.postgres import audit
from shared.postgres.engine import create_engine
from shared.postgres.transaction import transaction
from tests.support.eventually import eventually
from tests.support.kafka import Message, publish
from tests.support.postgres import Database
from tests.support.processes import RoleProcesses
from tests.support.stack import Stack
from tests.unit.orchestrator.build import rule_json
from tests.unit.orchestrator.rehearsal.replayed import DAY, HOUR, Recording

ANN = audit.Who("ann", "Ann")


class NothingDeclared:
    """A profile service where nobody said of any trait whether it is personal."""

    async def trait_classes(self) -> dict[str, str | None]:
        return {}


@pytest.mark.parametrize("point", POINTS)
async def test_a_killed_rehearsal_is_begun_anew(
    point: str, roles: RoleProcesses, database: Database, stack: Stack, topics: Topics
) -> None:
    now = clock.now()
    recording = Recording()
    for number in range(50):
        recording.happens(now - 3 * DAY + number * HOUR, who=f"person-{number % 9}")
    messages = [
        Message(topics.profile_updates, one.value, one.key, timestamp_ms=one.timestamp)
        for one in recording.records
    ]
    await publish(stack.kafka, messages)

    async def kept_since() -> datetime:
        return now - 30 * DAY

    engine = create_engine(database.orchestrator, schema="orchestrator", application="test")
    try:
        await save_draft(
            engine, Kind.RULE, "carts", rule_json(), may_replace=lambda _: None, who=ANN
        )
        made = await request_rehearsal(
            engine, Kind.RULE, "carts", starts=now - 4 * DAY, ends=now,
            rehearsing=Rehearsing(kept_since, Estimates), definitions=NothingDeclared(), sees=True,
            who=ANN,
        )  # fmt: skip
        named = {"CONCERT_MEMBER": "rehearse-1"}
        first = roles.start(
            "orchestrator", "rehearse", extra=named | {"CONCERT_CRASH": f"{point}:1"}
        )
        await eventually(lambda: first.exit_code() is not None, within=90)
        assert first.exit_code() == -9, first.log(4000)
        second = await roles.start_ready("orchestrator", "rehearse", extra=named)

        async def completed() -> simulations.Simulation | None:
            async with transaction(engine) as tx:
                one = await simulations.find(tx, made.id)
            assert one is not None
            assert one.status != "failed", one.problem
            return one if one.status == "completed" else None

        one = await eventually(completed, within=60)
        assert one is not None
        again = 0 if point == "rehearsal.written" else 1
        assert (one.crashes, one.done, one.changed_total) == (again, 50, 9)
        async with transaction(engine) as tx:
            named_ones = text("SELECT count(*) FROM simulation_change")
            assert (await tx.execute(named_ones)).scalar_one() == 9
        line = f'concert_simulations_total{{outcome="completed"}} {again:.1f}'
        await eventually(second.metrics, until=lambda shown: line in shown, within=10)
        assert second.terminate() == 0, second.log(4000)
    finally:
        await engine.dispose()
