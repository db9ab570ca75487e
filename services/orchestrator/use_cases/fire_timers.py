"""Fires due timers: what waited is checked again and published or taken back, what expired closed.

One call is one transaction. Timers are found without locks and deleted only for profiles that are
not busy elsewhere; the others come round again. What a timer does is said by its kind, in HANDLERS.
"""

from collections.abc import Callable, Collection, Mapping
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.orchestrator.domain.effects import CLOSE, EXPIRE, RELEASE, Effects
from services.orchestrator.domain.history import History
from services.orchestrator.domain.trigger_index import LiveRule, RuleSet
from services.orchestrator.domain.window import ARBITRATE
from services.orchestrator.storage import effects as effect_rows
from services.orchestrator.storage import histories, profile_states, timers
from services.orchestrator.storage.histories import Histories
from services.orchestrator.storage.profile_states import Locked, Saved
from services.orchestrator.storage.timers import Fired
from services.orchestrator.use_cases.end_windows import end_windows
from services.orchestrator.use_cases.expire_tasks import expire_tasks
from services.orchestrator.use_cases.recall import (
    recall_contacts,
    recall_exits,
    recall_households,
    recall_resources,
)
from services.orchestrator.use_cases.release_due import close_due, release_due
from services.orchestrator.use_cases.report import Report
from services.orchestrator.use_cases.respond import add_messages
from services.orchestrator.use_cases.timer_round import Handler, Round
from shared.contracts.profile_update import snapshot_decoder
from shared.contracts.topics import Topics
from shared.kafka.messages import OutboxBuffer, PartitionCounts
from shared.postgres import outbox
from shared.postgres.transaction import transaction
from shared.runtime.crash import crash_point

CRASH_POINTS = ("orchestrator.timer_deleted", "orchestrator.timer_fired")
LIMIT = 200
HANDLERS: Mapping[str, Handler] = {
    RELEASE: release_due,
    CLOSE: close_due,
    ARBITRATE: end_windows,
    EXPIRE: expire_tasks,
}
"""What to do for each kind of timer."""


async def fire_timers(
    engine: AsyncEngine,
    *,
    ruleset: Callable[[], RuleSet],
    topics: Topics,
    counts: PartitionCounts,
    limit: int = LIMIT,
) -> int:
    """Fire what is due, at most `limit` timers; how many fired."""
    rules, report = ruleset(), Report()
    effects = Effects(connected=rules.connected, scarce=bool(rules.resources))
    async with transaction(engine) as tx:
        due = await timers.due(tx, limit)
        if not due:
            return 0
        locked = await profile_states.lock_free(tx, {timer.profile_id for timer in due})
        fired = await timers.delete(tx, due, locked)
        crash_point("orchestrator.timer_deleted")
        if not fired:
            return 0
        at = await timers.now(tx)
        persons = {timer.profile_id for timer in fired}
        found = await _recall(tx, persons, locked, rules, at)
        buffer = OutboxBuffer(counts)
        round_ = Round(tx, rules, topics, at, locked, found, effects, buffer, report)
        await _fire(round_, fired)
        await effect_rows.write(tx, effects)
        await _save(tx, found)
        add_messages(buffer, effects, topics)
        await outbox.append(tx, buffer)
        crash_point("orchestrator.timer_fired")
    report.late(at - timer.due_at for timer in fired)
    report.count(effects)
    return len(fired)


async def _fire(round_: Round, fired: list[Fired]) -> None:
    """Prepare each kind at once, then give the timers their effects one after the other."""
    kinds: dict[str, list[Fired]] = {}
    for timer in fired:
        kinds.setdefault(timer.kind, []).append(timer)
    fire = {kind: await HANDLERS[kind](round_, of_kind) for kind, of_kind in kinds.items()}
    for timer in fired:
        fire[timer.kind](timer)


async def _recall(
    tx: AsyncConnection,
    persons: Collection[str],
    locked: Mapping[str, Locked],
    ruleset: RuleSet,
    at: datetime,
) -> Histories:
    found: Histories = {profile_id: History() for profile_id in persons}
    await histories.read_in_flight(tx, found, persons)
    await recall_exits(tx, found, persons, ruleset)
    await recall_contacts(tx, found, persons, ruleset, at)
    if ruleset.household_window:
        households = {_household(locked[profile_id]) for profile_id in persons}
        await recall_households(tx, found, households, ruleset, at)
    await recall_resources(tx, found, _rules_at_hand(found, ruleset), ruleset, at)
    return found


def _rules_at_hand(found: Histories, ruleset: RuleSet) -> list[LiveRule]:
    """The rules of what is in flight or held: of these something may be done in the round."""
    flying = {one.rule for history in found.values() for one in history.in_flight.values()}
    held = {key for history in found.values() for one in history.held.values() for key in one.rules}
    return [ruleset.rules[key] for key in flying | held if key in ruleset.rules]


def _household(row: Locked) -> str | None:
    return None if row.snapshot is None else snapshot_decoder.decode(row.snapshot).household


async def _save(tx: AsyncConnection, found: Histories) -> None:
    """How much of each person is in flight now."""
    saved = {
        profile_id: Saved(found[profile_id].under_way, None, None) for profile_id in sorted(found)
    }
    await profile_states.save(tx, saved)
