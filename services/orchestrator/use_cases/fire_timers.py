"""Fires due timers: what waited is checked again and published or taken back, what expired closed.

One call is one transaction. It takes timers that no other poller has, and fires those of profiles
that are not busy elsewhere; the others come round again. It waits for no lock, so that who holds a
profile may wait for its timers. What a timer does is said by its kind, in HANDLERS.
"""

from collections.abc import Callable, Mapping

from sqlalchemy.ext.asyncio import AsyncEngine

from services.orchestrator.domain.effects import CLOSE, EXPIRE, RELEASE
from services.orchestrator.domain.journeys.facts import GO_ON, RESUME, RUN
from services.orchestrator.domain.trigger_index import RuleSet
from services.orchestrator.domain.window import ARBITRATE
from services.orchestrator.storage import profile_states, timers
from services.orchestrator.storage.timers import Fired
from services.orchestrator.use_cases.end_windows import end_windows
from services.orchestrator.use_cases.expire_tasks import expire_tasks
from services.orchestrator.use_cases.low_water import LowWater
from services.orchestrator.use_cases.person_round import close_round, open_round
from services.orchestrator.use_cases.release_due import close_due, release_due
from services.orchestrator.use_cases.run_due import go_on_due, resume_due, run_due
from services.orchestrator.use_cases.timer_round import Handler, Round
from shared.contracts.topics import Topics
from shared.kafka.messages import PartitionCounts
from shared.postgres.transaction import transaction
from shared.runtime.crash import crash_point

CRASH_POINTS = ("orchestrator.timer_deleted", "orchestrator.timer_fired")
LIMIT = 200
HANDLERS: Mapping[str, Handler] = {
    RELEASE: release_due,
    CLOSE: close_due,
    ARBITRATE: end_windows,
    EXPIRE: expire_tasks,
    RUN: run_due,
    RESUME: resume_due,
    GO_ON: go_on_due,
}
"""What to do for each kind of timer."""


async def fire_timers(
    engine: AsyncEngine,
    *,
    ruleset: Callable[[], RuleSet],
    topics: Topics,
    counts: PartitionCounts,
    limit: int = LIMIT,
    low: LowWater | None = None,
) -> int:
    """Fire what is due, at most `limit` timers; how many fired. `low` is the mark of the poller."""
    rules, low = ruleset(), low or LowWater()
    async with transaction(engine) as tx:
        due = await timers.due(tx, limit, low.since())
        if not due:
            return 0
        locked = await profile_states.lock_free(tx, {timer.profile_id for timer in due})
        fired = await timers.delete(tx, due, locked)
        crash_point("orchestrator.timer_deleted")
        if not fired:
            return 0
        persons = {timer.profile_id for timer in fired}
        round_ = await open_round(tx, persons, locked, ruleset=rules, topics=topics, counts=counts)
        await _fire(round_, fired)
        await close_round(round_)
        crash_point("orchestrator.timer_fired")
    low.passed(due, fired)
    round_.report.late(round_.at - timer.due_at for timer in fired)
    round_.report.count(round_.effects)
    return len(fired)


async def _fire(round_: Round, fired: list[Fired]) -> None:
    """Prepare each kind at once, then give the timers their effects one after the other."""
    kinds: dict[str, list[Fired]] = {}
    for timer in fired:
        kinds.setdefault(timer.kind, []).append(timer)
    fire = {kind: await HANDLERS[kind](round_, of_kind) for kind, of_kind in kinds.items()}
    for timer in fired:
        fire[timer.kind](timer)
