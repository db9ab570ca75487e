"""Counts an experiment from what was noted, and reads it out."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from services.orchestrator.domain.experiments.assignment import Running
from services.orchestrator.domain.experiments.readout import Counted, ReadOut, read_out
from services.orchestrator.domain.journeys.compared import nodes_compared, running_of
from services.orchestrator.storage import experiments, tallies, timers
from services.orchestrator.storage.draft_kind import Kind
from services.orchestrator.use_cases.check_configuration import (
    parsed_experiment,
    parsed_journey,
)
from shared.errors import Conflict
from shared.postgres import drafts


@dataclass(frozen=True, slots=True)
class Found:
    """A read-out: of what, since when and up to when, and what was called at an earlier look."""

    key: str
    since: datetime
    called: Mapping[str, Any] | None
    counted: Counted
    read: ReadOut
    until: datetime


async def read_experiment(tx: AsyncConnection, key: str) -> Found:
    """The read-out now, or as of when it was over. Raises NotFound, and Conflict for what was never
    published."""
    draft = drafts.there(await drafts.find(tx, Kind.EXPERIMENT, key), "experiment", key)
    state = await experiments.state(tx, key)
    version = await drafts.version(tx, Kind.EXPERIMENT, key, draft.live_version)
    if state is None or version is None:
        raise Conflict(f"experiment {key} was never published: there is nothing to read.")
    running = state.running(parsed_experiment(key, version.body, version.version))
    until = state.over_at or await timers.now(tx)
    counted, read = await count_experiment(tx, running, since=state.phase_at, until=until)
    return Found(key, state.phase_at, state.called, counted, read, until)


async def read_journey(tx: AsyncConnection, key: str) -> list[Found]:
    """The read-outs of the nodes of a journey that are experiments, in the version that is live;
    the metric is its goal. Raises NotFound; none without a goal."""
    draft = drafts.there(await drafts.find(tx, Kind.JOURNEY, key), "journey", key)
    version = await drafts.version(tx, Kind.JOURNEY, key, draft.live_version)
    if version is None:
        return []
    journey, until = parsed_journey(key, version.body, version.version), await timers.now(tx)
    found = []
    for node in nodes_compared(journey):
        running = running_of(journey, node)
        if running is not None:
            name = running.experiment.key
            since = await tallies.first_exposed(tx, name, running.phase) or until
            counted, read = await count_experiment(tx, running, since=since, until=until)
            found.append(Found(name, since, None, counted, read, until))
    return found


async def count_experiment(
    tx: AsyncConnection, running: Running, *, since: datetime, until: datetime
) -> tuple[Counted, ReadOut]:
    """What was counted of the present phase, which began at `since`, up to an instant, and what may
    be said of it."""
    experiment = running.experiment
    people = await tallies.exposed(tx, experiment.key, running.phase, until)
    counted = Counted(
        exposed={arm: people.counted.get(arm, 0) for arm in experiment.weights},
        ran=until - since,
        tallies={
            metric.key: await tallies.tallies(tx, experiment.key, running.phase, metric, until)
            for metric in experiment.metrics
        },
        mixed=people.mixed,
    )
    return counted, read_out(running, counted)
