"""Opens a round for locked people, with all that may be decided about them, and writes its end.

Timers, operators and sweeps of journeys each do theirs in between.
"""

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from functools import partial
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from services.orchestrator.domain.effects import Effects
from services.orchestrator.domain.history import History
from services.orchestrator.domain.live_rule import LiveRule
from services.orchestrator.domain.travel import Travel
from services.orchestrator.domain.trigger_index import RuleSet
from services.orchestrator.storage import effects as effect_rows
from services.orchestrator.storage import histories, profile_states, runs, timers
from services.orchestrator.storage.histories import Histories
from services.orchestrator.storage.profile_states import Locked, Saved
from services.orchestrator.use_cases.naming import turn_decision_id
from services.orchestrator.use_cases.publish_effects import add_messages
from services.orchestrator.use_cases.recall import (
    recall_contacts,
    recall_exits,
    recall_households,
    recall_resources,
)
from services.orchestrator.use_cases.report import Report
from services.orchestrator.use_cases.run_due import tell_run
from services.orchestrator.use_cases.take_turns import take_turns
from services.orchestrator.use_cases.timer_round import Round
from shared.contracts.profile_update import snapshot_decoder
from shared.contracts.topics import Topics
from shared.kafka.messages import OutboxBuffer, PartitionCounts
from shared.postgres import outbox
from shared.postgres.epochs import hold_epoch


async def open_round(
    tx: AsyncConnection,
    persons: Collection[str],
    locked: Mapping[str, Locked],
    *,
    ruleset: RuleSet,
    topics: Topics,
    counts: PartitionCounts,
) -> Round:
    """A round for these people, whose rows are `locked`, at the present instant."""
    at = await timers.now(tx)
    found = await _recall(tx, persons, locked, ruleset, at)
    effects = Effects(connected=ruleset.connected, scarce=bool(ruleset.resources))
    return Round(tx, ruleset, topics, at, locked, found, effects, OutboxBuffer(counts), Report())


async def close_round(round_: Round) -> None:
    """Give the runs their places in lines, and write everything that happened in the round."""
    tx, effects = round_.tx, round_.effects
    await take_turns(tx, effects, round_.histories, round_.at, partial(_go_on, round_))
    if effects.pausing:
        await hold_epoch(tx, round_.ruleset.epoch)
    await effect_rows.write(tx, effects)
    await _save(tx, round_.histories)
    add_messages(round_.buffer, effects, round_.topics)
    await outbox.append(tx, round_.buffer)


def _go_on(round_: Round, profile_id: str, run_id: UUID, tell: Callable[[Travel], None]) -> None:
    tell_run(round_, profile_id, run_id, turn_decision_id(run_id, round_.at), tell)


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
    journeys = {one.run.journey for history in found.values() for one in history.runs.values()}
    may_enter = ruleset.journeys.reachable((), journeys)
    if may_enter:
        await runs.read_past(tx, found, persons, may_enter)
    at_hand = _rules_at_hand(found, journeys | may_enter, ruleset)
    await recall_resources(tx, found, at_hand, ruleset, at)
    return found


def _rules_at_hand(found: Histories, journeys: Collection[str], ruleset: RuleSet) -> list[LiveRule]:
    """The rules of what is in flight or held, and of journeys that somebody is in or may be sent
    to: of these something may be done in the round."""
    nodes = list(ruleset.journeys.rules_of(journeys).values()) if journeys else []
    flying = {one.rule for history in found.values() for one in history.in_flight.values()}
    held = {key for history in found.values() for one in history.held.values() for key in one.rules}
    return [ruleset.acting[key] for key in flying | held if key in ruleset.acting] + nodes


def _household(row: Locked) -> str | None:
    return None if row.snapshot is None else snapshot_decoder.decode(row.snapshot).household


async def _save(tx: AsyncConnection, found: Histories) -> None:
    """How much of each person is in flight now."""
    saved = {
        profile_id: Saved(found[profile_id].under_way, None, None) for profile_id in sorted(found)
    }
    await profile_states.save(tx, saved)
