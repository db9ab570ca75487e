"""What an operator does to one run: move it, skip a step, stop it, hold it, let it go on."""

from collections.abc import Callable
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.orchestrator.domain.journeys.facts import Fact, Person
from services.orchestrator.domain.run import Run
from services.orchestrator.domain.trigger_index import RuleSet
from services.orchestrator.storage import profile_states, runs
from services.orchestrator.storage.profile_states import Locked
from services.orchestrator.use_cases.naming import operator_decision_id
from services.orchestrator.use_cases.person_round import close_round, open_round
from services.orchestrator.use_cases.run_due import tell_run
from shared.contracts.topics import Topics
from shared.errors import Conflict, NotFound
from shared.kafka.messages import PartitionCounts
from shared.postgres import audit
from shared.postgres.transaction import transaction

FactOf = Callable[[Run, Person], Fact]
"""What the run is to be told, of the run as it stands and the person as they were last seen.
Raises Conflict where the run stands elsewhere than the operator saw."""


async def operate_run(
    engine: AsyncEngine,
    run_id: UUID,
    fact_of: FactOf,
    *,
    action: str,
    ruleset: RuleSet,
    topics: Topics,
    counts: PartitionCounts,
    who: audit.Who,
) -> Run:
    """The run after it; what follows, and the line of the audit log, are in the same transaction.

    Raises NotFound, Conflict when the run is over or stands elsewhere, and Infrastructure while the
    run's version is not loaded here.
    """
    async with transaction(engine) as tx:
        profile_id, locked = await _lock(tx, run_id)
        round_ = await open_round(
            tx, {profile_id}, {profile_id: locked}, ruleset=ruleset, topics=topics, counts=counts
        )
        standing = round_.histories[profile_id].runs.get(run_id)
        if standing is None or standing.run.is_over:
            raise Conflict(f"Run {run_id} is over.")
        before = standing.run
        tell_run(
            round_,
            profile_id,
            run_id,
            operator_decision_id(run_id, before.gen, before.occurrence, action),
            lambda travel: travel.tell(run_id, fact_of(before, travel.person(run_id))),
        )
        after = round_.effects.runs.get(run_id, standing).run
        await close_round(round_)
        await audit.append(
            tx,
            who=who,
            kind="run",
            key=str(run_id),
            action=action,
            before=_stand(before),
            after=_stand(after),
        )
    round_.report.count(round_.effects)
    return after


async def _lock(tx: AsyncConnection, run_id: UUID) -> tuple[str, Locked]:
    """Lock the person of a run, who may be merged while that is waited for."""
    while True:
        profile_id = await runs.person_of(tx, run_id)
        if profile_id is None:
            raise NotFound(f"There is no run {run_id}.")
        locked = await profile_states.lock(tx, [profile_id])
        if await runs.person_of(tx, run_id) == profile_id:
            return profile_id, locked[profile_id]


def _stand(run: Run) -> dict[str, object]:
    return {
        "journey": run.journey,
        "version": run.version,
        "status": run.status,
        "reason": run.reason,
        "node": run.node,
        "occurrence": run.occurrence,
        "paused": run.paused,
    }
