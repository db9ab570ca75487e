"""The answer that is kept for a slot: the same for whoever asks next, until something changes it.

A slot is a place where one thing can be said to a person: the banner on the home page, the card in
the kiosk, the line on the till. Whatever was chosen for it is one action, under one id, on whatever
channel it is shown: one contact, one response.
"""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from services.orchestrator.domain.ask import UNKNOWN, later, spec_on
from services.orchestrator.domain.contact_gates import (
    assigned,
    awaited,
    exposures,
    held_out,
    other_arm,
    suppressed,
)
from services.orchestrator.domain.content import ContentFailed, locale_of
from services.orchestrator.domain.decide import Considered
from services.orchestrator.domain.gates import Drop, Situation, consented, engagement, recipient
from services.orchestrator.domain.history import Contact
from services.orchestrator.domain.live_rule import LiveRule
from services.orchestrator.domain.rule import ActionSpec
from services.orchestrator.domain.trigger_index import RuleSet
from services.orchestrator.domain.unproved import unproved, unproved_rule
from services.orchestrator.domain.update import Cause
from shared.contracts.delivery import OUTCOMES

LIFE = timedelta(minutes=30)
"""How long an answer is kept, unless its action expires before."""
SHORT_LIFE = timedelta(minutes=1)
"""How long it is kept that there is nothing."""
ENDING = frozenset(OUTCOMES) - {"delivered", "opened"}
"""Outcomes after which the slot is free again; that it arrived and was seen changes nothing."""


class Said(msgspec.Struct, gc=False, kw_only=True):
    """What was answered, as it is kept: the cause of the decision, what the action says on the
    channel that asked first, until when it may be shown."""

    cause: Cause
    channel: str
    content: dict[str, Any] = {}
    expires_at: str | None = None
    why: str | None = None


class Kept(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """An answer that was given for a slot. `rule` is what was chosen, None: nothing was; without
    an `action_id` it has no action on the channel that asked, and waits for another one. `version`
    is the number of the profile's last update, `epoch` that of the configuration."""

    profile_id: str
    decision_id: UUID
    action_id: UUID | None
    rule: str | None
    version: int
    epoch: int
    at: datetime
    expires_at: datetime
    said: Said


said_encoder = msgspec.json.Encoder()
said_decoder = msgspec.json.Decoder(Said)


class Again(msgspec.Struct, frozen=True, gc=False):
    """What a kept answer is worth to a channel that asks: an action's content, or a reason why it
    has none there."""

    content: dict[str, Any] | None
    why: str


def life_of(best: Considered | None, at: datetime) -> datetime:
    """Until when an answer is kept."""
    if best is None:
        return at + SHORT_LIFE
    return min([at + LIFE, *(planned.expires_at for planned in best.planned)])


def again(kept: Kept, channel: str, situation: Situation, ruleset: RuleSet) -> Again | None:
    """The kept answer for a channel that asks now; None when it no longer holds and has to be
    decided anew. `situation` has the person as just read, with the cause of the kept answer."""
    if kept.expires_at <= situation.at:
        return None
    if kept.rule is None:
        unchanged = (kept.version, kept.epoch) == (situation.moment.seq, ruleset.epoch)
        return Again(None, kept.said.why or "nothing") if unchanged else None
    live = ruleset.rules.get(kept.rule)
    if live is None or not live.rule.is_valid_at(situation.at):
        return None
    if kept.action_id is None:
        return None if spec_on(live.rule, channel) else Again(None, other_channel(live, channel))
    return _action_again(kept, live, channel, situation, ruleset)


def other_channel(live: LiveRule, channel: str) -> str:
    """Why a rule that was chosen is no answer on a channel."""
    channels = ", ".join(dict.fromkeys(spec.channel for spec in live.rule.actions))
    return f"other_channel: {live.key} was chosen and has no action on {channel}, but on {channels}"


def _action_again(
    kept: Kept, live: LiveRule, channel: str, situation: Situation, ruleset: RuleSet
) -> Again | None:
    first = spec_on(live.rule, kept.said.channel)
    if first is None or _stopped(live, first, situation, ruleset) is not None:
        return None
    if engagement(live, situation.moment, situation.history) is not None:
        return None
    why = f"kept: {live.key} was chosen for this slot"
    if channel == kept.said.channel:
        return Again(kept.said.content, why)
    spec = spec_on(live.rule, channel)
    if spec is None:
        return Again(None, other_channel(live, channel))
    drop = _stopped(live, spec, situation, ruleset)
    if drop is not None:
        return Again(None, f"{drop.reason}: {live.key} was chosen, but needs {drop.condition}")
    content = _content(spec, situation, ruleset)
    if content is None:
        return Again(None, f"content_failed: {live.key} was chosen, but says nothing on {channel}")
    return Again(content, why)


def _stopped(
    live: LiveRule, spec: ActionSpec, situation: Situation, ruleset: RuleSet
) -> Drop | None:
    """Why an action may not be shown on its channel now."""
    to = recipient(ruleset.channels, spec.channel, situation.moment)
    if isinstance(to, Drop):
        return to
    contact = _contact(live, spec, situation)
    return (
        unproved_rule(ruleset, live.rule, situation.moment)
        or unproved(ruleset, contact, situation.moment)
        or consented(live, spec, situation, ruleset)
        or suppressed(ruleset, contact, situation)
        or _left_out(live, situation, ruleset)
        or _quiet(live, spec, situation, ruleset)
    )


def _left_out(live: LiveRule, situation: Situation, ruleset: RuleSet) -> Drop | None:
    """Whether the person is held out, or in another arm, by now: another percentage holds, an arm
    was stopped, or the answer was given before they were known. Of somebody unknown it was asked
    under an id that is gone."""
    if situation.moment.profile.status == UNKNOWN:
        return None
    return held_out(exposures(ruleset, live.rule, situation.moment.profile_id)) or other_arm(
        live.rule, assigned(ruleset, live.rule, situation.moment)
    )


def _contact(live: LiveRule, spec: ActionSpec, situation: Situation) -> Contact:
    rule = live.rule
    return Contact(
        action_id=situation.action_id(rule.key, 0, 0),
        at=situation.at,
        channel=spec.channel,
        category=rule.category,
        topic=rule.topic,
        group=rule.group,
        rule=rule.key,
    )


def _quiet(live: LiveRule, spec: ActionSpec, situation: Situation, ruleset: RuleSet) -> Drop | None:
    at, category = situation.at, live.rule.category
    instant = awaited(ruleset, situation.moment, channel=spec.channel, category=category, at=at)
    if isinstance(instant, Drop):
        return instant
    return later(at, instant.at) if instant.at > at else None


def _content(spec: ActionSpec, situation: Situation, ruleset: RuleSet) -> dict[str, Any] | None:
    content, facts = spec.content, situation.moment.facts
    if content is None:
        template = ruleset.templates.get(spec.template or "")
        content = None if template is None else template.content
    if content is None:
        return None
    wanted = "profile.locale" if spec.locale is None else spec.locale
    try:
        return content.render(facts, locale_of(wanted, facts))
    except ContentFailed:
        return None
