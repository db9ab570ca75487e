"""A waiting action whose instant has come: published now, taken back because something changed, or
put off again because its channel is silent now.

Between the decision and its instant the customer may have bought, said no or become someone else,
and policies may have changed; so expiry, the rule itself, channel, consent, suppressions, exits,
engagement policy, holdouts, experiments, quiet hours and caps are asked once more.
"""

from dataclasses import replace
from typing import NamedTuple
from uuid import UUID

from services.orchestrator.domain.answer import take_back
from services.orchestrator.domain.contact_gates import (
    assigned,
    awaited,
    capped,
    exposures,
    held_out,
    other_arm,
    suppressed,
)
from services.orchestrator.domain.effects import Change, Effects, drop_in_flight, put_off
from services.orchestrator.domain.enact import end_of, hand_over, stays_in_flight
from services.orchestrator.domain.exit import policy_fails, withdrawn
from services.orchestrator.domain.gates import Drop, Situation, recipient
from services.orchestrator.domain.history import Contact, InFlight
from services.orchestrator.domain.live_rule import LiveRule
from services.orchestrator.domain.options import kind_of
from services.orchestrator.domain.quiet import Instant
from services.orchestrator.domain.trigger_index import RuleSet
from shared.contracts.action import Action, action_decoder, action_encoder
from shared.contracts.decision import Decision
from shared.contracts.times import parse_rfc3339

EXPIRED = "expired"


class Stop(NamedTuple):
    """Why a waiting action must not happen; `kind` is the reason for which a fallback may be taken
    instead, None when there is none for it."""

    why: str
    kind: str | None = None


class TakenBackNow(NamedTuple):
    """The decision that took an action back when it was due, and the kind of its reason."""

    decision: Decision
    kind: str | None


def release(
    action: InFlight,
    body: bytes,
    situation: Situation,
    *,
    ruleset: RuleSet,
    decision_id: UUID,
    effects: Effects,
) -> TakenBackNow | None:
    """Publish the action or put it off; or the decision that took it back, with the reason.

    `body` is the message as it was planned; `situation` has the newest snapshot and the cause of
    the action.
    """
    message = action_decoder.decode(body)
    live = ruleset.acting.get(action.rule)
    stop = _stops(message, live, situation)
    if stop is None:
        assert live is not None  # noqa: S101 - it stops without its rule
        stop = _go(action, message, live, situation, ruleset, effects)
    if stop is None:
        return None
    decision = take_back(
        action,
        situation,
        status=EXPIRED if stop.kind == EXPIRED else "retracted",
        reason=stop.why,
        ruleset=ruleset,
        decision_id=decision_id,
        effects=effects,
    )
    return TakenBackNow(decision, stop.kind)


def _stops(message: Action, live: LiveRule | None, situation: Situation) -> Stop | None:
    """Why nothing can come of the action any more, whenever it would be published."""
    if _is_over(message, situation):
        return Stop(EXPIRED, EXPIRED)
    if live is None or not live.rule.is_valid_at(situation.at):
        return Stop("rule_not_live")
    return None


def _go(
    action: InFlight,
    message: Action,
    live: LiveRule,
    situation: Situation,
    ruleset: RuleSet,
    effects: Effects,
) -> Stop | None:
    """Publish the action, or put it off; or why it must not happen."""
    to = recipient(ruleset.channels, message.channel, situation.moment)
    if isinstance(to, Drop):
        return _stop(to)
    instant = _instant(action, situation, ruleset)
    if isinstance(instant, Drop):
        return _stop(instant)
    fails = _fails(action, live, situation, instant, ruleset)
    if fails is not None:
        return fails
    message.to = to
    message.profile_id = situation.moment.profile_id
    if instant.waits_for is None:
        _publish(action, message, live, situation, effects)
    elif message.expires_at is not None and parse_rfc3339(message.expires_at) <= instant.at:
        return Stop(f"expired: before the end of {instant.waits_for}", EXPIRED)
    else:
        put_off(effects, situation, action, instant)
    return None


def close(action: InFlight, situation: Situation, effects: Effects) -> None:
    """The action has expired on its channel: it can no longer be taken back."""
    drop_in_flight(effects, situation.history, action, Change("done", in_flight=False))


def _is_over(message: Action, situation: Situation) -> bool:
    return message.expires_at is not None and parse_rfc3339(message.expires_at) <= situation.at


def _instant(action: InFlight, situation: Situation, ruleset: RuleSet) -> Instant | Drop:
    return awaited(
        ruleset,
        situation.moment,
        channel=action.channel,
        category=action.category,
        at=situation.at,
    )


def _fails(
    action: InFlight, live: LiveRule, situation: Situation, instant: Instant, ruleset: RuleSet
) -> Stop | None:
    """Why the action must not happen at the instant; None when it may."""
    moment, history, at = situation.moment, situation.history, situation.at
    contact = _contact(action, live, situation, instant)
    refused = withdrawn(action, moment, ruleset, at)
    if refused is not None:
        return Stop(refused, "no_consent")
    silenced = suppressed(ruleset, contact, situation)
    if silenced is not None:
        return _stop(silenced)
    fails = policy_fails(action, live, moment, history, at)
    if fails is not None:
        return Stop(fails)
    held = held_out(exposures(ruleset, live.rule, moment.profile_id)) or other_arm(
        live.rule, assigned(ruleset, live.rule, moment)
    )
    if held is not None:
        return Stop(_words(held))
    over = _over_cap(contact, situation, ruleset)
    return None if over is None else _stop(over)


def _contact(action: InFlight, live: LiveRule, situation: Situation, instant: Instant) -> Contact:
    return Contact(
        action_id=action.action_id,
        at=instant.at,
        channel=action.channel,
        category=action.category,
        topic=action.topic,
        group=live.rule.group,
        rule=action.rule,
        household=situation.moment.profile.household,
    )


def _over_cap(contact: Contact, situation: Situation, ruleset: RuleSet) -> Drop | None:
    history = situation.history
    others, kin = (
        [one for one in contacts if one.action_id != contact.action_id]
        for contacts in (history.contacts, history.kin(contact.household))
    )
    return capped(ruleset, situation.moment, contact, others, kin)


def _stop(drop: Drop) -> Stop:
    return Stop(_words(drop), kind_of(drop))


def _words(drop: Drop) -> str:
    return f"{drop.reason}: {drop.condition}"


def _publish(
    action: InFlight, message: Action, live: LiveRule, situation: Situation, effects: Effects
) -> None:
    at, history = situation.at, situation.history
    body = action_encoder.encode(message)
    published = replace(action, sent_for=message.profile_id, gen=action.gen + 1)
    expires_at = at if message.expires_at is None else parse_rfc3339(message.expires_at)
    hand_over(effects, published, body, at=at, expires_at=expires_at)
    effects.made[action.action_id] = at
    history.move(action.action_id, at)
    stays = expires_at > at and stays_in_flight(live, action, effects.connected)
    change = Change("published", in_flight=stays, published_at=at, body=body)
    if not stays:
        drop_in_flight(effects, history, action, change)
        return
    effects.changes[action.action_id] = change
    history.in_flight[action.action_id] = published
    effects.timers.append(end_of(published, expires_at))
