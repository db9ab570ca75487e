"""What a delivery event changes: the standing of its action, the contact, what is in flight.

Pure but for `effects` and `history`, which it changes in step, as everything that is decided does.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.orchestrator.domain.effects import (
    Change,
    Effects,
    OutcomeRow,
    drop_in_flight,
)
from services.orchestrator.domain.history import Contact, History, Outcome
from services.orchestrator.domain.outcome import LOST, Standing, standing, status_of
from services.orchestrator.domain.rule import TASK


@dataclass(slots=True)
class Told:
    """An action of which something is said: how it stood, what was `said` until now and by which
    touchpoints of this batch (`known`), and its contact in the ledger, `released` or not."""

    profile_id: str
    contact: Contact
    kind: str
    status: str
    published_at: datetime | None
    released: bool
    said: dict[str, datetime]
    known: set[str]

    @property
    def action_id(self) -> UUID:
        return self.contact.action_id


@dataclass(frozen=True, slots=True)
class Heard:
    """One delivery event: which touchpoint says what of an action, when it happened, and why."""

    touchpoint_id: str
    action_id: UUID
    outcome: str
    at: datetime
    reason: str | None


def note_outcome(
    effects: Effects, history: History, told: Told, heard: Heard, *, kept: bool
) -> frozenset[str]:
    """Note what was heard of an action of this person; for what reasons a fallback may be taken
    now that could not be before. `kept`: the action stays in flight after it was delivered, to be
    taken back, or to be followed by a fallback.
    """
    before = standing(told.said)
    told.known.add(heard.touchpoint_id)
    latest = max(heard.at, told.said.get(heard.outcome, heard.at))
    first = heard.outcome not in told.said
    told.said[heard.outcome] = latest
    after = standing(told.said)
    _record(effects, history, told, heard, first=first)
    if after != before:
        effects.standings[told.action_id] = (after.delivery, after.response)
        _settle_contact(effects, history, told, after)
    _settle_action(effects, history, told, heard, after, kept=kept)
    return after.reasons - before.reasons


def _record(effects: Effects, history: History, told: Told, heard: Heard, *, first: bool) -> None:
    contact = told.contact
    outcome = Outcome(
        action_id=contact.action_id,
        outcome=heard.outcome,
        at=heard.at,
        channel=contact.channel,
        category=contact.category,
        topic=contact.topic,
        group=contact.group,
        rule=contact.rule,
    )
    effects.outcomes.append(OutcomeRow(told.profile_id, heard.touchpoint_id, outcome, first))
    history.outcomes.append(outcome)
    history.outcomes.sort(key=lambda one: one.at)


def _settle_contact(effects: Effects, history: History, told: Told, after: Standing) -> None:
    """A contact that did not happen is given back; one that did after all counts again."""
    if after.is_lost and not told.released:
        told.released = True
        effects.released.append(told.action_id)
        effects.made.pop(told.action_id, None)
        history.give_back(told.action_id)
    elif after.delivery == "delivered" and told.released:
        told.released = False
        if told.action_id in effects.released:
            effects.released.remove(told.action_id)
        effects.made[told.action_id] = told.published_at or told.contact.at
        history.reserve(told.contact)


def _settle_action(
    effects: Effects,
    history: History,
    told: Told,
    heard: Heard,
    after: Standing,
    *,
    kept: bool,
) -> None:
    """End what is over: a task that somebody did, a message that only waited for its delivery."""
    status = status_of(after, told.status, told.kind)
    action = history.in_flight.get(told.action_id)
    arrived = after.delivery == "delivered"
    done = arrived and (told.kind == TASK or (told.kind == "send" and not kept))
    ends = action is not None and (after.over or done)
    if status == told.status and not ends:
        return
    told.status = status
    reason = (heard.reason or heard.outcome) if heard.outcome in LOST else None
    if action is None:
        effects.changes[told.action_id] = Change(told.status, in_flight=False, reason=reason)
    elif ends:
        change = Change(told.status, in_flight=False, reason=reason)
        drop_in_flight(effects, history, action, change)
