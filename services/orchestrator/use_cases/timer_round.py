"""One round of due timers, and the shape of what handles them.

Each kind of timer has a handler. It is asked once for all timers of its kind, reads for them
together whatever they need, and gives a function that is then called for each of them; so timers of
all kinds have their effects in the order in which they were due, and a round costs one statement
for each table and kind.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncConnection

from services.orchestrator.domain.action_ids import ids_of_action
from services.orchestrator.domain.effects import Effects
from services.orchestrator.domain.gates import Situation
from services.orchestrator.domain.history import History, InFlight
from services.orchestrator.domain.trigger_index import RuleSet
from services.orchestrator.domain.update import Moment, moment_with
from services.orchestrator.storage.histories import Histories
from services.orchestrator.storage.profile_states import Locked
from services.orchestrator.storage.timers import Fired
from services.orchestrator.use_cases.naming import action_ids
from services.orchestrator.use_cases.report import Counting, Report
from shared.contracts.profile_update import snapshot_decoder
from shared.contracts.topics import Topics
from shared.kafka.messages import OutboxBuffer


class Firing(Protocol):
    """What timers need for their effects, once everything is read. People are in `histories` and
    `locked`; what happens goes into `effects`."""

    @property
    def ruleset(self) -> RuleSet: ...
    @property
    def at(self) -> datetime: ...
    @property
    def locked(self) -> Mapping[str, Locked]: ...
    @property
    def histories(self) -> Histories: ...
    @property
    def effects(self) -> Effects: ...
    @property
    def report(self) -> Counting: ...


@dataclass(frozen=True, slots=True)
class Round:
    """Everything the timers of one transaction share. The profiles are `locked` and their
    `histories` read; `effects` and `buffer` are written when all timers have fired."""

    tx: AsyncConnection
    ruleset: RuleSet
    topics: Topics
    at: datetime
    locked: Mapping[str, Locked]
    histories: Histories
    effects: Effects
    buffer: OutboxBuffer
    report: Report


Fire = Callable[[Fired], None]
"""Gives one timer its effect, in the order in which timers were due."""
Handler = Callable[[Round, Sequence[Fired]], Awaitable[Fire]]
"""Prepares for all timers of a kind in a round."""


def in_flight(firing: Firing, timer: Fired) -> InFlight | None:
    """The action of a timer; None when it was taken back, or published, after the timer was set."""
    action = firing.histories[timer.profile_id].in_flight.get(timer.ref)
    return None if action is None or action.gen != timer.gen else action


def situation_in(firing: Firing, action: InFlight, profile_id: str) -> Situation:
    """The person as last seen, with the touchpoint that asked for the action."""
    row, history = firing.locked[profile_id], firing.histories[profile_id]
    return situation_of(action, row, profile_id, history, firing.at)


def situation_of(
    action: InFlight, row: Locked, profile_id: str, history: History, at: datetime
) -> Situation:
    """The person as last seen, with the touchpoint that asked for the action."""
    moment = last_seen(row, profile_id, action.cause, at, occurred=action.occurred_at)
    ids = ids_of_action(action, action_ids, moment.cause.id or "")
    return Situation(moment, history, at, ids, action.step)


def last_seen(
    row: Locked,
    profile_id: str,
    cause_json: bytes,
    at: datetime,
    *,
    occurred: datetime | None = None,
) -> Moment:
    """The person as last seen, with a cause that was kept."""
    assert row.snapshot is not None  # noqa: S101 - the table's CHECK, while anything is under way
    return moment_with(
        cause_json,
        profile_id=profile_id,
        of=profile_id,
        seq=row.last_seq,
        profile=snapshot_decoder.decode(row.snapshot),
        profile_json=row.snapshot,
        at=at,
        occurred=occurred,
    )
