"""Tells all runs of a journey what concerns them all: a new version, a pause over, or its end."""

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.orchestrator.domain.journeys.facts import GO_ON, Edited, Fact, Released, Stopped
from services.orchestrator.domain.timer import Timer
from services.orchestrator.domain.travel import Travel
from services.orchestrator.domain.trigger_index import RuleSet
from services.orchestrator.storage import profile_states, run_sweeps, runs
from services.orchestrator.storage.profile_states import Locked
from services.orchestrator.storage.run_sweeps import Sweep
from services.orchestrator.use_cases.naming import sweep_decision_id
from services.orchestrator.use_cases.person_round import close_round, open_round
from services.orchestrator.use_cases.run_due import tell_run
from services.orchestrator.use_cases.timer_round import Round
from shared.contracts.topics import Topics
from shared.kafka.messages import PartitionCounts
from shared.postgres.transaction import transaction
from shared.runtime.crash import crash_point

LIMIT = 200
ARCHIVED = "archived"
RELEASE_LINE = "/release"
"""The line in which runs wait to go on after a pause; no node can have this name."""
CRASH_POINTS = ("orchestrator.swept",)


async def sweep_runs(
    engine: AsyncEngine,
    *,
    ruleset: Callable[[], RuleSet],
    topics: Topics,
    counts: PartitionCounts,
    limit: int = LIMIT,
) -> int:
    """Tell the next runs of the first sweep, at most `limit`; how many. Raises Infrastructure while
    the journey is not loaded here."""
    rules = ruleset()
    async with transaction(engine) as tx:
        sweep = await run_sweeps.claim(tx, rules.epoch)
        if sweep is None:
            return 0
        found, locked = await _lock(tx, sweep, limit)
        if not found:
            await run_sweeps.end(tx, sweep)
            return 0
        persons = {profile_id for _, profile_id in found}
        round_ = await open_round(tx, persons, locked, ruleset=rules, topics=topics, counts=counts)
        await _tell(round_, sweep, found)
        await close_round(round_)
        await run_sweeps.move(tx, sweep, found[-1][0], len(found))
        crash_point("orchestrator.swept")
    round_.report.count(round_.effects)
    return len(found)


async def _lock(
    tx: AsyncConnection, sweep: Sweep, limit: int
) -> tuple[list[tuple[UUID, str]], dict[str, Locked]]:
    """The next runs, with their people locked: whoever is merged while that is waited for is
    looked up again."""
    locked: dict[str, Locked] = {}
    while True:
        found = await run_sweeps.next_runs(tx, sweep, limit)
        unlocked = {profile_id for _, profile_id in found} - locked.keys()
        if not unlocked:
            return found, locked
        locked |= await profile_states.lock(tx, unlocked)


async def _tell(round_: Round, sweep: Sweep, found: list[tuple[UUID, str]]) -> None:
    if sweep.kind == "resumed" and sweep.step is not None:
        await _queue(round_, sweep, sweep.step, found)
        return
    for run_id, profile_id in found:
        tell_run(
            round_,
            profile_id,
            run_id,
            sweep_decision_id(sweep.id, run_id),
            _telling(sweep, run_id),
        )


async def _queue(
    round_: Round, sweep: Sweep, step: timedelta, found: list[tuple[UUID, str]]
) -> None:
    """Whoever has a step that the pause held takes it at their turn."""
    standing = [round_.histories[profile_id].runs[run_id].run for run_id, profile_id in found]
    held = [run for run in standing if run.held is not None and not run.is_over]
    if not held:
        return
    line = (sweep.journey, RELEASE_LINE)
    first = await runs.take_places(round_.tx, [(line, step)] * len(held), round_.at)
    for place, run in enumerate(held):
        due_at = first[line] + place * step
        round_.effects.timers.append(Timer(due_at, GO_ON, run.profile_id, run.id, run.gen))


def _telling(sweep: Sweep, run_id: UUID) -> Callable[[Travel], None]:
    return lambda travel: travel.tell(run_id, _fact(sweep, run_id, travel))


def _fact(sweep: Sweep, run_id: UUID, travel: Travel) -> Fact:
    if sweep.kind == "stopped":
        return Stopped(ARCHIVED)
    person = travel.person(run_id)
    return Released(person) if sweep.kind == "resumed" else Edited(person)
