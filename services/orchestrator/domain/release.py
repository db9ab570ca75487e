"""A waiting action whose instant has come: published now, taken back because something changed, or
put off again because its channel is silent now.

Between the decision and its instant the customer may have bought, said no or become someone else,
and policies may have changed; so expiry, the rule itself, channel, consent, suppressions, exits,
engagement policy, holdouts, quiet hours and caps are asked once more.
"""

from dataclasses import replace
from uuid import UUID

from services.orchestrator.domain.answer import take_back
from services.orchestrator.domain.contact_gates import (
    awaited,
    capped,
    exposures,
    held_out,
    suppressed,
)
from services.orchestrator.domain.effects import Change, Effects, drop_in_flight, put_off
from services.orchestrator.domain.enact import end_of, hand_over, stays_in_flight
from services.orchestrator.domain.exit import policy_fails, withdrawn
from services.orchestrator.domain.gates import Drop, Situation, recipient
from services.orchestrator.domain.history import Contact, InFlight
from services.orchestrator.domain.quiet import Instant
from services.orchestrator.domain.trigger_index import LiveRule, RuleSet
from shared.contracts.action import Action, action_decoder, action_encoder
from shared.contracts.decision import Decision
from shared.contracts.times import parse_rfc3339


def release(
    action: InFlight,
    body: bytes,
    situation: Situation,
    *,
    ruleset: RuleSet,
    decision_id: UUID,
    effects: Effects,
) -> Decision | None:
    """Publish the action or put it off; or the decision that took it back, with the reason.

    `body` is the message as it was planned; `situation` has the newest snapshot and the cause of
    the action.
    """
    message = action_decoder.decode(body)
    live = ruleset.rules.get(action.rule)
    if _is_over(message, situation):
        return _back(action, situation, "expired", "expired", ruleset, decision_id, effects)
    if live is None or not live.rule.is_valid_at(situation.at):
        return _back(action, situation, "retracted", "rule_not_live", ruleset, decision_id, effects)
    to = recipient(ruleset.channels, message.channel, situation.moment)
    instant = _instant(action, situation, ruleset)
    if isinstance(to, Drop):
        reason: str | None = _said(to)
    elif isinstance(instant, Drop):
        reason = _said(instant)
    else:
        reason = _fails(action, live, situation, instant, ruleset)
    if reason is not None or isinstance(to, Drop) or isinstance(instant, Drop):
        why = reason or ""
        return _back(action, situation, "retracted", why, ruleset, decision_id, effects)
    message.to = to
    message.profile_id = situation.moment.profile_id
    if instant.waits_for is None:
        _publish(action, message, live, situation, effects)
    elif message.expires_at is not None and parse_rfc3339(message.expires_at) <= instant.at:
        why = f"expired: before the end of {instant.waits_for}"
        return _back(action, situation, "expired", why, ruleset, decision_id, effects)
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
) -> str | None:
    """Why the action must not happen at the instant; None when it may."""
    moment, history, at = situation.moment, situation.history, situation.at
    contact = _contact(action, live, situation, instant)
    refused = withdrawn(action, moment, ruleset, at) or _said(
        suppressed(ruleset, contact, situation)
    )
    return (
        refused
        or policy_fails(action, live, moment, history, at)
        or _said(held_out(exposures(ruleset, live.rule, moment.profile_id)))
        or _said(_over_cap(contact, situation, ruleset))
    )


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


def _said(drop: Drop | None) -> str | None:
    return None if drop is None else f"{drop.reason}: {drop.condition}"


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


def _back(
    action: InFlight,
    situation: Situation,
    status: str,
    reason: str,
    ruleset: RuleSet,
    decision_id: UUID,
    effects: Effects,
) -> Decision:
    return take_back(
        action,
        situation,
        status=status,
        reason=reason,
        ruleset=ruleset,
        decision_id=decision_id,
        effects=effects,
    )
