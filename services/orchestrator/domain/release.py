"""A waiting action whose instant has come: published now, or taken back because something changed.

Between the decision and its instant the customer may have bought, said no or become someone else;
so expiry, the rule itself, channel, consent, exits, engagement policy and caps are asked once more.
"""

from dataclasses import replace
from uuid import UUID

from services.orchestrator.domain.answer import take_back
from services.orchestrator.domain.effects import Change, Effects, drop_in_flight
from services.orchestrator.domain.enact import end_of, hand_over, stays_in_flight
from services.orchestrator.domain.exit import policy_fails, withdrawn
from services.orchestrator.domain.gates import Drop, Situation, capped, recipient
from services.orchestrator.domain.history import Contact, InFlight
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
    """Publish the action; or the decision that took it back, with the reason.

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
    if isinstance(to, Drop):
        reason: str | None = f"{to.reason}: {to.condition}"
    else:
        reason = (
            withdrawn(action, situation.moment, situation.at)
            or policy_fails(action, live, situation.moment, situation.history, situation.at)
            or _cap_fails(action, live, situation, ruleset)
        )
    if reason is not None:
        return _back(action, situation, "retracted", reason, ruleset, decision_id, effects)
    if not isinstance(to, Drop):
        message.to = to
    message.profile_id = situation.moment.profile_id
    _publish(action, message, live, situation, effects)
    return None


def close(action: InFlight, situation: Situation, effects: Effects) -> None:
    """The action has expired on its channel: it can no longer be taken back."""
    drop_in_flight(effects, situation.history, action, Change("done", in_flight=False))


def _is_over(message: Action, situation: Situation) -> bool:
    return message.expires_at is not None and parse_rfc3339(message.expires_at) <= situation.at


def _cap_fails(
    action: InFlight, live: LiveRule, situation: Situation, ruleset: RuleSet
) -> str | None:
    household = situation.moment.profile.household
    others, kin = (
        [contact for contact in contacts if contact.action_id != action.action_id]
        for contacts in (situation.history.contacts, situation.history.kin(household))
    )
    contact = Contact(
        action_id=action.action_id,
        at=situation.at,
        channel=action.channel,
        category=action.category,
        topic=action.topic,
        group=live.rule.group,
        rule=action.rule,
        household=household,
    )
    drop = capped(ruleset, contact, others, kin)
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
