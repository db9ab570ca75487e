"""A hundredth of `make scale`: its rows are the worker's, ten thousand people wait and go on, and
ninety days of a journey come to what the model says."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import uvloop

from bench import stage, waiting
from bench.months import measure_months, render_months
from bench.timer_figures import Churn, Plan, render_timers
from bench.timers import measure_timers
from bench.waiting import TABLES, Crowd
from deploy.local.progress import Progress
from services.orchestrator.storage import timers
from shared.kafka.records import Record
from shared.postgres.transaction import Tx
from tests.integration.orchestrator.stage import TOPIC, Stage

PEOPLE = 40
MEASURED = Plan(people=10_000, rate=50.0, seconds=3.0, churn=1_800)


@pytest.fixture(scope="module")
def services() -> Iterator[stage.Stage]:
    """Everything but the roles, with a clock that can be shifted."""
    with stage.running_stage(Progress(), shiftable_clock=True) as running:
        yield running


async def stored(on: Stage) -> dict[str, list[tuple[Any, ...]]]:
    found = {}
    for table, columns in TABLES.items():
        rows = await on.rows(f"SELECT {', '.join(columns)} FROM {table}")
        found[table] = sorted(tuple(map(str, row)) for row in rows)
    return found


async def test_a_generated_row_is_the_row_that_the_worker_writes(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.rules = waiting.ruleset()
    crowd = Crowd(PEOPLE, 10.0, datetime(2026, 11, 25, 12, 0, tzinfo=UTC))
    for number in range(PEOPLE):
        at = crowd.entered_at(number)

        async def now(_: Tx, at: datetime = at) -> datetime:
            return at

        monkeypatch.setattr(timers, "now", now)
        value = waiting.update(number, 1, "Joined", at)
        key = waiting.profile_id(number).encode()
        await stage.respond(Record(TOPIC, 0, number, 0, key, value, ()))
    written = await stored(stage)
    await stage.empty()
    url = stage.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    await waiting.load(url, crowd, 0, PEOPLE)
    assert len(written["journey_run"]) == PEOPLE
    assert await stored(stage) == written


def test_everybody_is_due_once_and_neighbours_are_apart() -> None:
    crowd = Crowd(1_000, 10.0, datetime(2026, 11, 25, tzinfo=UTC))
    assert sorted(crowd.rank(number) for number in range(1_000)) == list(range(1_000))


@pytest.mark.timeout(300)
def test_ninety_days_come_to_what_the_model_says(services: stage.Stage) -> None:
    run = uvloop.run(measure_months(services, 100, 5, Progress()))
    assert run.counted == run.expected
    assert run.expected[("", "entered", "")] == 100
    reasons = {word for _, kind, word in run.expected if kind == "ended"}
    assert reasons == {"completed", "goal", "exit: Account Closed on web"}
    nodes = {node for node, kind, _ in run.expected if kind == "arrived"}
    assert len(nodes) == 12
    assert sum("| arrived" in line for line in render_months(run)) == 12


@pytest.mark.timeout(300)
def test_ten_thousand_waiting_people_go_on(services: stage.Stage) -> None:
    run = uvloop.run(measure_timers(services, MEASURED, Progress()))
    assert all(abs(one.fired - 150) <= 1 for one in run.paced)
    churned = [one.fired for one in run.parts if isinstance(one, Churn)]
    assert sum(churned) == 2 * MEASURED.churn
    assert len([line for line in render_timers(run) if line.startswith("| ")]) == 1 + len(run.parts)
