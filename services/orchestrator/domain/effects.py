"""What a batch changes: collected while its updates are decided, written once at its end.

Every function here keeps the history in memory in step with what will be written, so that the next
update of the same profile sees it. Nothing is written here.
"""

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from services.orchestrator.domain.decide import Considered, Planned
from services.orchestrator.domain.history import History, InFlight
from services.orchestrator.domain.update import Moment
from shared.contracts.action import Action, action_encoder
from shared.contracts.decision import Decision, decision_encoder
from shared.contracts.times import rfc3339

RELEASE = "release"
"""Timer of an action that waits: it is checked again and published."""
CLOSE = "close"
"""Timer of a published action that could be taken back until it expired."""


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
    answered: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes of an action that exists."""

    status: str
    in_flight: bool
    reason: str | None = None
    published_at: datetime | None = None
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class Timer:
    """Fires at `due_at`; without effect when the action's `gen` is another one by then."""

    due_at: datetime
    kind: str
    profile_id: str
    ref: UUID
    gen: int


@dataclass(frozen=True, slots=True)
class OutMessage:
    """A message for `actions.<channel>`, or for the decisions when there is no channel."""

    channel: str | None
    kind: str
    profile_id: str
    value: bytes


@dataclass(slots=True)
class Effects:
    """Everything that is written at the end of a batch, one statement a list."""

    decisions: list[DecisionRow] = field(default_factory=list)
    actions: list[ActionRow] = field(default_factory=list)
    changes: dict[UUID, Change] = field(default_factory=dict)
    released: list[UUID] = field(default_factory=list)
    made: dict[UUID, datetime] = field(default_factory=dict)
    entries: dict[tuple[str, str, str], tuple[datetime, int]] = field(default_factory=dict)
    exits: dict[tuple[str, str], tuple[datetime, str]] = field(default_factory=dict)
    timers: list[Timer] = field(default_factory=list)
    messages: list[OutMessage] = field(default_factory=list)


def record(effects: Effects, decision: Decision, decision_id: UUID, at: datetime) -> None:
    """Store the decision and publish it."""
    body = decision_encoder.encode(decision)
    row = DecisionRow(decision_id, decision.profile_id, decision.touchpoint_id, at, body)
    effects.decisions.append(row)
    effects.messages.append(OutMessage(None, "decision", decision.profile_id, body))


def enact(
    effects: Effects,
    history: History,
    winner: Considered,
    *,
    moment: Moment,
    decision_id: UUID,
    at: datetime,
) -> None:
    """Do what a chosen rule planned: all of its actions are one entry of the rule."""
    for planned in winner.planned:
        _start(effects, history, planned, moment=moment, decision_id=decision_id, at=at)
    key = (winner.live.key, winner.planned[0].entry_key)
    _, count = effects.entries.get((moment.profile_id, *key), (at, 0))
    effects.entries[(moment.profile_id, *key)] = (at, count + 1)
    history.entries[key] = at


def _start(
    effects: Effects,
    history: History,
    planned: Planned,
    *,
    moment: Moment,
    decision_id: UUID,
    at: datetime,
) -> None:
    """Publish the action now, or let it wait for its timer; the contact is reserved either way."""
    rule = planned.live.rule
    now = planned.due_at <= at
    in_flight = not now or planned.live.keeps_watch
    body = _message(planned, moment, decision_id)
    occurred = moment.occurred or at
    row = ActionRow(
        profile_id=moment.profile_id,
        planned=planned,
        touchpoint_id=moment.cause.id,
        decision_id=decision_id,
        status="published" if now else "pending",
        in_flight=in_flight,
        occurred_at=occurred,
        created_at=at,
        body=body,
        cause=moment.kept_cause if in_flight else None,
    )
    effects.actions.append(row)
    if now:
        message = OutMessage(planned.spec.channel, planned.spec.kind, moment.profile_id, body)
        effects.messages.append(message)
    if in_flight:
        kind, due = (CLOSE, planned.expires_at) if now else (RELEASE, planned.due_at)
        effects.timers.append(Timer(due, kind, moment.profile_id, planned.action_id, 0))
        history.in_flight[planned.action_id] = InFlight(
            action_id=planned.action_id,
            rule=rule.key,
            entry_key=planned.entry_key,
            channel=planned.spec.channel,
            category=rule.category,
            topic=rule.topic,
            sent_for=moment.profile_id if now else None,
            occurred_at=occurred,
            cause=moment.kept_cause,
            gen=0,
        )
    history.reserve(planned.contact)
    history.acted.add(planned.action_id)


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
    history.give_back(action.action_id)
    if action.sent_for is None:
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


def _message(planned: Planned, moment: Moment, decision_id: UUID) -> bytes:
    rule = planned.live.rule
    return action_encoder.encode(
        Action(
            action_id=str(planned.action_id),
            idempotency_key=str(planned.action_id),
            kind=planned.spec.kind,
            profile_id=moment.profile_id,
            channel=planned.spec.channel,
            category=rule.category,
            to=planned.to,
            rule=rule.key,
            rule_version=rule.version,
            decision_id=str(decision_id),
            content=planned.content,
            queue=planned.queue,
            expires_at=rfc3339(planned.expires_at),
            trace=moment.cause.trace,
        )
    )
