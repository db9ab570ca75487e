"""What a batch changes: collected while its updates are decided, written once at its end.

Every function here keeps the history in memory in step with what will be written, so that the next
update of the same profile sees it. Nothing is written here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from services.orchestrator.domain.experiments.exposure import Exposure
from services.orchestrator.domain.experiments.measure import Measured
from services.orchestrator.domain.gates import Situation
from services.orchestrator.domain.history import Held, History, InFlight, Outcome, Use
from services.orchestrator.domain.planned import Planned
from services.orchestrator.domain.quiet import Instant
from services.orchestrator.domain.rule import TASK
from services.orchestrator.domain.run import Standing
from services.orchestrator.domain.timer import Timer
from services.orchestrator.domain.update import Moment
from shared.contracts.action import Action, action_encoder
from shared.contracts.decision import Decision, decision_encoder

RELEASE = "release"
"""Timer of an action that waits: it is checked again and published."""
CLOSE = "close"
"""Timer of a published action that could be taken back until it expired."""
EXPIRE = "expire"
"""Timer of a task that nobody did in time."""


@dataclass(frozen=True, slots=True)
class DecisionRow:
    """A decision as it is stored; `body` is the JSON that is published too."""

    id: UUID
    profile_id: str
    touchpoint_id: str | None
    at: datetime
    body: bytes


@dataclass(frozen=True, slots=True, eq=False)
class ActionRow:
    """A new action: `pending` until its timer fires, or `published` at once. `answered`: who asked
    for it got it as the answer, so it is delivered and needs no message."""

    profile_id: str
    planned: Planned
    touchpoint_id: str | None
    decision_id: UUID
    status: str
    in_flight: bool
    occurred_at: datetime
    created_at: datetime
    body: bytes
    cause: bytes | None
    score: float
    instead_of: UUID | None
    answered: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes of an action that exists."""

    status: str
    in_flight: bool
    reason: str | None = None
    published_at: datetime | None = None
    body: bytes | None = None
    due_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Handover:
    """A published action that Concert itself brings to somebody: a task of a queue, or a message
    for a built-in connector. `priority` is its score, `due_at` when it was published."""

    action_id: UUID
    profile_id: str
    channel: str
    queue: str
    priority: float
    due_at: datetime
    expires_at: datetime
    body: bytes


@dataclass(frozen=True, slots=True)
class OutcomeRow:
    """What a touchpoint said of an action; `first`: nobody had said that outcome of it before."""

    profile_id: str
    touchpoint_id: str
    outcome: Outcome
    first: bool


@dataclass(frozen=True, slots=True)
class TakenBack:
    """An action that was in flight and is not any more, and how far it had come: `pending` or
    `published`; `message` is the retraction that its channel got."""

    reached: str
    reason: str
    channel: str
    task: bool
    message: bytes | None


@dataclass(frozen=True, slots=True)
class OutMessage:
    """A message for `actions.<channel>`, or for the decisions when there is no channel."""

    channel: str | None
    kind: str
    profile_id: str
    value: bytes


@dataclass(frozen=True, slots=True)
class Spent:
    """What an action reserves of a scarce resource."""

    action_id: UUID
    profile_id: str
    use: Use


@dataclass(frozen=True, slots=True)
class InputRow:
    """What a decision saw, compressed, so that it can be asked again."""

    id: UUID
    profile_id: str
    body: bytes


@dataclass(frozen=True, slots=True)
class RunNote:
    """A line of a run's log; without a run it is only counted."""

    run: UUID | None
    journey: str
    at: datetime
    kind: str
    node: str | None
    occurrence: int
    word: str


@dataclass(frozen=True, slots=True)
class Said:
    """An event about a person that a journey publishes; `hops` is how many journeys led to it."""

    id: UUID
    profile_id: str
    at: datetime
    type: str
    traits: Mapping[str, Any]
    properties: Mapping[str, Any]
    hops: int


@dataclass(frozen=True, slots=True)
class Wait:
    """A run wants the next place in the line of a node (empty: of the journey's entrance), and does
    not stand there longer than `max_wait`."""

    run: UUID
    profile_id: str
    journey: str
    node: str
    occurrence: int
    interval: timedelta
    max_wait: timedelta


@dataclass(slots=True)
class Effects:
    """Everything that is written at the end of a batch, one statement a list. `connected` are the
    channels with a built-in connector."""

    connected: frozenset[str] = frozenset()
    decisions: list[DecisionRow] = field(default_factory=list)
    actions: list[ActionRow] = field(default_factory=list)
    changes: dict[UUID, Change] = field(default_factory=dict)
    released: list[UUID] = field(default_factory=list)
    made: dict[UUID, datetime] = field(default_factory=dict)
    moved: dict[UUID, datetime] = field(default_factory=dict)
    """Reserved contacts that will be made at another instant."""
    entries: dict[tuple[str, str, str], tuple[datetime, int]] = field(default_factory=dict)
    exits: dict[tuple[str, str], tuple[datetime, str]] = field(default_factory=dict)
    timers: list[Timer] = field(default_factory=list)
    tasks: list[Handover] = field(default_factory=list)
    deliveries: list[Handover] = field(default_factory=list)
    taken_back: dict[UUID, TakenBack] = field(default_factory=dict)
    superseded: list[UUID] = field(default_factory=list)
    """Published actions that another option stands in for: what is still under way must not
    arrive."""
    outcomes: list[OutcomeRow] = field(default_factory=list)
    standings: dict[UUID, tuple[str | None, str | None]] = field(default_factory=dict)
    messages: list[OutMessage] = field(default_factory=list)
    spent: list[Spent] = field(default_factory=list)
    held: dict[tuple[str, str], Held | None] = field(default_factory=dict)
    """By profile and touchpoint: candidates that wait, None for those that do so no longer."""
    inputs: list[InputRow] = field(default_factory=list)
    runs: dict[UUID, Standing] = field(default_factory=dict)
    """Runs of journeys as they stand now."""
    run_notes: list[RunNote] = field(default_factory=list)
    said: list[Said] = field(default_factory=list)
    places: list[Wait] = field(default_factory=list)
    """Runs that want a place in a line."""
    pausing: bool = False
    """Whether the pause of a journey held a step."""
    rounds: dict[UUID, int] = field(default_factory=dict)
    """How many further decisions followed from a decision, by its id: what runs want comes round
    until they want nothing more, and each has an id of its own."""
    exposures: list[Exposure] = field(default_factory=list)
    measured: list[Measured] = field(default_factory=list)
    silent: bool = False
    """It is a rehearsal: nobody reads records of decisions, so none is made."""
    scarce: bool = False
    """Whether actions may have reserved something of scarce resources."""


def record(effects: Effects, decision: Decision, decision_id: UUID, at: datetime) -> None:
    """Store the decision and publish it."""
    if effects.silent:
        return
    body = decision_encoder.encode(decision)
    row = DecisionRow(decision_id, decision.profile_id, decision.touchpoint_id, at, body)
    effects.decisions.append(row)
    effects.messages.append(OutMessage(None, "decision", decision.profile_id, body))


def retract(
    effects: Effects,
    history: History,
    action: InFlight,
    *,
    decision_id: UUID,
    status: str,
    reason: str,
) -> None:
    """Take an action back: on record if nobody has it yet, else with a message to the channel.

    The message names the profile that the action named, and has its key: under the id of a winner
    it would be on another partition, and could overtake what it takes back.
    """
    drop_in_flight(effects, history, action, Change(status, in_flight=False, reason=reason))
    effects.released.append(action.action_id)
    effects.made.pop(action.action_id, None)
    effects.moved.pop(action.action_id, None)
    history.give_back(action.action_id)
    reached = "pending" if action.sent_for is None else "published"
    task = action.kind == TASK
    if action.sent_for is None:
        effects.taken_back[action.action_id] = TakenBack(
            reached, reason, action.channel, task, None
        )
        return
    message = Action(
        action_id=str(action.action_id),
        idempotency_key=f"{action.action_id}:retract",
        kind="retract",
        profile_id=action.sent_for,
        channel=action.channel,
        category=action.category,
        rule=action.rule,
        decision_id=str(decision_id),
        reason=reason,
    )
    body = action_encoder.encode(message)
    effects.messages.append(OutMessage(action.channel, "retract", action.sent_for, body))
    effects.taken_back[action.action_id] = TakenBack(reached, reason, action.channel, task, body)


def put_off(effects: Effects, situation: Situation, action: InFlight, instant: Instant) -> None:
    """Let a waiting action wait for another instant: its timer is set anew and its contact moves
    along."""
    history, gen = situation.history, action.gen + 1
    reason = f"quiet_hours: {instant.waits_for}"
    effects.changes[action.action_id] = Change(
        "pending", in_flight=True, reason=reason, due_at=instant.at
    )
    effects.moved[action.action_id] = instant.at
    effects.timers.append(
        Timer(instant.at, RELEASE, situation.moment.profile_id, action.action_id, gen)
    )
    history.move(action.action_id, instant.at)
    history.in_flight[action.action_id] = replace(action, gen=gen)


def drop_in_flight(effects: Effects, history: History, action: InFlight, change: Change) -> None:
    """The action can no longer be taken back, for the reason that `change` says."""
    history.in_flight.pop(action.action_id, None)
    effects.changes[action.action_id] = change


def mark_exit(effects: Effects, history: History | None, moment: Moment, criterion: str) -> None:
    """Remember the latest touchpoint of the profile that met an exit criterion."""
    occurred, touchpoint = moment.occurred, moment.cause.id
    if occurred is None or touchpoint is None:
        return
    place = (moment.profile_id, criterion)
    known = effects.exits.get(place)
    if known is None or known[0] < occurred:
        effects.exits[place] = (occurred, touchpoint)
    if history is not None:
        before = history.exits.get(criterion)
        history.exits[criterion] = occurred if before is None else max(before, occurred)
