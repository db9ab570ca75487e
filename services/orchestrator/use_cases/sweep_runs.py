"""Tells all runs of a journey what concerns them all: a new version, a pause over, or its end."""

from collections.abc import Callable, Mapping
from itertools import takewhile
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from services.orchestrator.domain.journeys.facts import Edited, Fact, Resumed, Stopped
from services.orchestrator.domain.timer import Timer
from services.orchestrator.domain.travel import RESUME, Travel
from services.orchestrator.domain.trigger_index import RuleSet
from services.orchestrator.storage import profile_states, run_sweeps, runs
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
        found = await run_sweeps.next_runs(tx, sweep, limit)
        if not found:
            await run_sweeps.end(tx, sweep)
            return 0
        persons = {profile_id for _, profile_id in found}
        locked = await profile_states.lock(tx, persons)
        found = _still_theirs(found, await runs.persons_of(tx, [run_id for run_id, _ in found]))
        if not found:
            return 0
        persons = {profile_id for _, profile_id in found}
        round_ = await open_round(tx, persons, locked, ruleset=rules, topics=topics, counts=counts)
        await _tell(round_, sweep, found)
        await close_round(round_)
        await run_sweeps.move(tx, sweep, found[-1][0], len(found))
        crash_point("orchestrator.swept")
    round_.report.count(round_.effects)
    return len(found)


def _still_theirs(
    found: list[tuple[UUID, str]], now: Mapping[UUID, str]
) -> list[tuple[UUID, str]]:
    """The runs up to the first one that went to another person, by a merge, before its own was
    locked: that one is told in the next round, with who stands for them now."""
    return list(takewhile(lambda one: now.get(one[0], one[1]) == one[1], found))


async def _tell(round_: Round, sweep: Sweep, found: list[tuple[UUID, str]]) -> None:
    here = [one for one in found if one[0] in round_.histories[one[1]].runs]
    if sweep.kind == "resumed" and sweep.step is not None and here:
        line = (sweep.journey, RELEASE_LINE)
        first = await runs.take_places(round_.tx, [(line, sweep.step)] * len(here), round_.at)
        for place, (run_id, profile_id) in enumerate(here):
            gen = round_.histories[profile_id].runs[run_id].run.gen
            due_at = first[line] + place * sweep.step
            round_.effects.timers.append(Timer(due_at, RESUME, profile_id, run_id, gen))
        return
    for run_id, profile_id in here:
        tell_run(
            round_,
            profile_id,
            run_id,
            sweep_decision_id(sweep.id, run_id),
            _telling(sweep, run_id),
        )


def _telling(sweep: Sweep, run_id: UUID) -> Callable[[Travel], None]:
    return lambda travel: travel.tell(run_id, _fact(sweep, run_id, travel))


def _fact(sweep: Sweep, run_id: UUID, travel: Travel) -> Fact:
    if sweep.kind == "stopped":
        return Stopped(ARCHIVED)
    person = travel.person(run_id)
    return Resumed(person) if sweep.kind == "resumed" else Edited(person)
