"""Fires due timers: what waited is checked again and published or taken back, what expired closed.

One call is one transaction. Timers are found without locks and deleted only for profiles that are
not busy elsewhere; the others come round again.
"""

from collections.abc import Callable, Collection, Mapping
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.orchestrator.domain.effects import RELEASE, Effects
from services.orchestrator.domain.gates import Situation
from services.orchestrator.domain.history import History, InFlight
from services.orchestrator.domain.release import close, release
from services.orchestrator.domain.trigger_index import RuleSet
from services.orchestrator.domain.update import Moment, cause_decoder, facts_of
from services.orchestrator.domain.window import ARBITRATE
from services.orchestrator.storage import effects as effect_rows
from services.orchestrator.storage import histories, profile_states, timers
from services.orchestrator.storage.histories import Histories
from services.orchestrator.storage.profile_states import Locked, Saved
from services.orchestrator.storage.timers import Fired
from services.orchestrator.use_cases.end_windows import end_windows
from services.orchestrator.use_cases.naming import action_ids, timer_decision_id
from services.orchestrator.use_cases.recall import recall_exits, recall_households
from services.orchestrator.use_cases.report import Report
from services.orchestrator.use_cases.respond import add_messages
from shared.contracts.profile_update import snapshot_decoder
from shared.contracts.topics import Topics
from shared.kafka.messages import OutboxBuffer, PartitionCounts
from shared.postgres import outbox
from shared.postgres.transaction import transaction
from shared.runtime.crash import crash_point

CRASH_POINTS = ("orchestrator.timer_deleted", "orchestrator.timer_fired")
LIMIT = 200


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
    effects = Effects(scarce=bool(rules.resources))
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
        await _fire(tx, fired, locked, rules, effects, report, at)
        buffer = OutboxBuffer(counts)
        add_messages(buffer, effects, topics)
        await outbox.append(tx, buffer)
        crash_point("orchestrator.timer_fired")
    report.late(at - timer.due_at for timer in fired)
    report.count(effects)
    return len(fired)


async def _fire(
    tx: AsyncConnection,
    fired: list[Fired],
    locked: Mapping[str, Locked],
    ruleset: RuleSet,
    effects: Effects,
    report: Report,
    at: datetime,
) -> None:
    persons = {timer.profile_id for timer in fired}
    found = await _recall(tx, persons, ruleset, at)
    if ruleset.household_window:
        households = {_household(locked[profile_id]) for profile_id in persons}
        await recall_households(tx, found, households, ruleset, at)
    bodies = await histories.read_bodies(tx, [timer.ref for timer in fired])
    ending = {timer.profile_id: timer for timer in fired if timer.kind == ARBITRATE}
    if ending:
        await end_windows(tx, ending, locked, found, ruleset, effects, report, at)
    for timer in fired:
        history = found[timer.profile_id]
        action = history.in_flight.get(timer.ref)
        if action is None or action.gen != timer.gen:
            continue  # it was taken back, or published, after the timer was set
        situation = _situation(action, locked[timer.profile_id], timer.profile_id, history, at)
        if timer.kind != RELEASE:
            close(action, situation, effects)
            continue
        decision = release(
            action,
            bodies[timer.ref],
            situation,
            ruleset=ruleset,
            decision_id=timer_decision_id(timer.ref, timer.gen),
            effects=effects,
        )
        if decision is not None:
            report.decided(None, decision.outcome, "chosen")
    await effect_rows.write(tx, effects)
    await profile_states.save(
        tx,
        {
            profile_id: Saved(found[profile_id].under_way, None, None)
            for profile_id in sorted(persons)
        },
    )


async def _recall(
    tx: AsyncConnection, persons: Collection[str], ruleset: RuleSet, at: datetime
) -> Histories:
    found: Histories = {profile_id: History() for profile_id in persons}
    await histories.read_in_flight(tx, found, persons)
    await recall_exits(tx, found, persons, ruleset)
    if ruleset.longest_window:
        await histories.read_contacts(tx, found, persons, at=at, window=ruleset.longest_window)
    return found


def _household(row: Locked) -> str | None:
    return None if row.snapshot is None else snapshot_decoder.decode(row.snapshot).household


def _situation(
    action: InFlight, row: Locked, profile_id: str, history: History, at: datetime
) -> Situation:
    """The person as last seen, with the touchpoint that asked for the action."""
    assert row.snapshot is not None  # noqa: S101 - the table's CHECK, while something is in flight
    cause = cause_decoder.decode(action.cause)
    profile = snapshot_decoder.decode(row.snapshot)
    moment = Moment(
        profile_id=profile_id,
        of=profile_id,
        seq=row.last_seq,
        cause=cause,
        cause_json=action.cause,
        profile=profile,
        profile_json=row.snapshot,
        facts=facts_of(profile, cause, at),
        occurred=action.occurred_at,
    )
    return Situation(moment, history, at, action_ids(cause.id or ""))
