"""Does what was decided: an action is published or waits, its contact is reserved, and what Concert
brings to somebody itself goes into that queue. Nothing is written here, see `effects.py`.
"""

from datetime import datetime
from enum import Enum, auto
from typing import Protocol
from uuid import UUID

from services.orchestrator.domain.decide import Considered
from services.orchestrator.domain.effects import (
    CLOSE,
    EXPIRE,
    RELEASE,
    ActionRow,
    Effects,
    Handover,
    OutMessage,
    Spent,
)
from services.orchestrator.domain.history import History, InFlight
from services.orchestrator.domain.live_rule import LiveRule
from services.orchestrator.domain.planned import Planned
from services.orchestrator.domain.rule import TASK
from services.orchestrator.domain.timer import Timer
from services.orchestrator.domain.update import Moment
from shared.contracts.action import Action, action_decoder, action_encoder
from shared.contracts.times import rfc3339


class Shown(Enum):
    """Who was given an action as the answer to a question. The channel that asked gets no second
    copy of it; but a task is work that somebody still has to do for a person who is `KNOWN`. Of a
    `STRANGER` nobody will hear again: nothing of theirs is queued or watched."""

    KNOWN = auto()
    STRANGER = auto()


class Goes(Protocol):
    """What kind of message goes to which channel."""

    @property
    def kind(self) -> str: ...
    @property
    def channel(self) -> str: ...


def enact(
    effects: Effects,
    history: History,
    winner: Considered,
    *,
    moment: Moment,
    decision_id: UUID,
    at: datetime,
    shown: Shown | None = None,
) -> None:
    """Do what a chosen rule planned: all of its actions are one entry of the rule. `shown`: it is
    the answer to a question."""
    score = 0.0 if winner.score is None else winner.score.total
    for planned in winner.planned:
        start(
            effects,
            history,
            planned,
            moment=moment,
            decision_id=decision_id,
            at=at,
            score=score,
            shown=shown,
        )
    if winner.situation.step is not None:
        return  # a run knows what it did
    key = (winner.live.key, winner.planned[0].entry_key)
    _, count = effects.entries.get((moment.profile_id, *key), (at, 0))
    effects.entries[(moment.profile_id, *key)] = (at, count + 1)
    history.entries[key] = at


def start(
    effects: Effects,
    history: History,
    planned: Planned,
    *,
    moment: Moment,
    decision_id: UUID,
    at: datetime,
    score: float,
    shown: Shown | None = None,
) -> None:
    """Publish the action now, or let it wait for its timer; its contact and what it takes of scarce
    resources are reserved either way.

    It is in flight for as long as there is something that can be taken back, or that another
    action may stand in for.
    """
    now = planned.due_at <= at
    answered = shown is Shown.STRANGER or (shown is Shown.KNOWN and planned.spec.kind != TASK)
    stays = not now or stays_in_flight(planned.live, planned.spec, effects.connected)
    stays = stays and shown is not Shown.STRANGER
    body = _message(planned, moment, decision_id)
    row = ActionRow(
        profile_id=moment.profile_id,
        planned=planned,
        touchpoint_id=moment.cause.id,
        decision_id=decision_id,
        status="published" if now else "pending",
        in_flight=stays,
        occurred_at=moment.occurred or at,
        created_at=at,
        body=body,
        cause=moment.kept_cause if stays else None,
        score=score,
        instead_of=planned.instead_of,
        answered=answered,
    )
    effects.actions.append(row)
    action = _in_flight(row, moment)
    if now and not answered:
        hand_over(effects, action, body, at=at, expires_at=planned.expires_at)
    if stays:
        waits = Timer(planned.due_at, RELEASE, moment.profile_id, planned.action_id, 0)
        effects.timers.append(end_of(action, planned.expires_at) if now else waits)
        history.in_flight[planned.action_id] = action
    history.spend(planned.action_id, planned.uses)
    effects.spent += (Spent(planned.action_id, moment.profile_id, use) for use in planned.uses)
    history.reserve(planned.contact)
    history.acted.add(planned.action_id)


def _in_flight(row: ActionRow, moment: Moment) -> InFlight:
    planned, rule = row.planned, row.planned.live.rule
    return InFlight(
        action_id=planned.action_id,
        rule=rule.key,
        entry_key=planned.entry_key,
        channel=planned.spec.channel,
        category=rule.category,
        topic=rule.topic,
        sent_for=None if row.status == "pending" else row.profile_id,
        occurred_at=row.occurred_at,
        cause=row.cause or moment.kept_cause,
        gen=0,
        kind=planned.spec.kind,
        score=row.score,
        instead_of=row.instead_of,
        step=planned.step,
    )


def stays_in_flight(live: LiveRule, what: Goes, connected: frozenset[str]) -> bool:
    """Whether something of an action can be taken back, or followed by a fallback, after it was
    published: a task that nobody did, a prompt that may still be shown, a message in a queue of
    ours."""
    return (
        live.keeps_watch or what.kind != "send" or what.channel in connected or live.has_fallbacks
    )


def hand_over(
    effects: Effects, action: InFlight, body: bytes, *, at: datetime, expires_at: datetime
) -> None:
    """Put the message on the channel's topic, and where Concert itself brings it to somebody, into
    that queue."""
    assert action.sent_for is not None  # noqa: S101 - it is being published
    profile_id = action.sent_for
    effects.messages.append(OutMessage(action.channel, action.kind, profile_id, body))
    connected = action.channel in effects.connected
    if action.kind != TASK and not connected:
        return
    queues = effects.tasks if action.kind == TASK else effects.deliveries
    queues.append(
        Handover(
            action_id=action.action_id,
            profile_id=profile_id,
            channel=action.channel,
            queue=action_decoder.decode(body).queue or "",
            priority=action.score,
            due_at=at,
            expires_at=expires_at,
            body=body,
        )
    )


def end_of(action: InFlight, expires_at: datetime) -> Timer:
    """The timer for the instant at which a published action is over."""
    assert action.sent_for is not None  # noqa: S101 - it is published
    kind = EXPIRE if action.kind == TASK else CLOSE
    return Timer(expires_at, kind, action.sent_for, action.action_id, action.gen)


def _message(planned: Planned, moment: Moment, decision_id: UUID) -> bytes:
    rule, step = planned.live.rule, planned.step
    journey, _, node = rule.key.partition("/") if step is not None else ("", "", "")
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
            journey=journey or None,
            run=None if step is None else str(step.run),
            node=node or None,
            decision_id=str(decision_id),
            content=planned.content,
            queue=planned.queue,
            expires_at=rfc3339(planned.expires_at),
            trace=moment.cause.trace,
        )
    )
