"""One arbitration: the rules a touchpoint triggers go in, what is done and why not the rest out.

Pure: the same situation and configuration give the same verdict. The gates stand in `gates.py`; a
rule falls when all of its actions do. The rules left are ranked; the best of them act, as many as
the contact policy or the rule itself allows.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from services.orchestrator.domain.channel_content import check_content
from services.orchestrator.domain.contact_gates import (
    awaited,
    capped,
    exposures,
    held_out,
    suppressed,
)
from services.orchestrator.domain.content import Content, ContentFailed, locale_of
from services.orchestrator.domain.gates import (
    Drop,
    Situation,
    consented,
    engagement,
    entry_key,
    re_entry,
    recipient,
    stale,
)
from services.orchestrator.domain.history import Contact
from services.orchestrator.domain.holdout import Exposure
from services.orchestrator.domain.rule import QUEUE, ActionSpec
from services.orchestrator.domain.score import rank, score
from services.orchestrator.domain.trigger_index import LiveRule, RuleSet
from shared.contracts.decision import CandidateScore
from shared.contracts.touchpoint import Identifier

Gate = Callable[[int], Drop | None]
"""Asks about the action with an index."""


@dataclass(frozen=True, slots=True, eq=False)
class Planned:
    """An action that will happen, with its content; `contact` is what the ledger reserves."""

    live: LiveRule
    spec: ActionSpec
    index: int
    entry_key: str
    to: Identifier | None
    content: dict[str, object]
    queue: str | None
    contact: Contact
    due_at: datetime
    expires_at: datetime
    waits_for: str | None = None
    """What it waits for beyond its own delay: quiet hours, in words."""

    @property
    def action_id(self) -> UUID:
        return self.contact.action_id


@dataclass(slots=True, eq=False)
class Considered:
    """One candidate rule: `drop` says where it stopped, `planned` what it does if it won."""

    live: LiveRule
    drop: Drop | None = None
    score: CandidateScore | None = None
    open: list[tuple[int, Identifier | None]] = field(default_factory=list)
    dropped: dict[int, Drop] = field(default_factory=dict)
    planned: list[Planned] = field(default_factory=list)
    exposures: list[Exposure] = field(default_factory=list)
    """On which side of each holdout the person is; empty where the gate was not reached."""
    contacts: dict[int, Contact] = field(default_factory=dict)
    """Of each action that passed the quiet hours: when it would happen."""
    waits: dict[int, str | None] = field(default_factory=dict)


def decide(
    candidates: Sequence[LiveRule], situation: Situation, ruleset: RuleSet
) -> list[Considered]:
    """Every candidate with its fate, the best first, then those that fell, by key."""
    considered = [_consider(live, situation, ruleset) for live in candidates]
    _arbitrate(considered, situation, ruleset)
    return sorted(considered, key=_reading_order)


def _consider(live: LiveRule, situation: Situation, ruleset: RuleSet) -> Considered:
    one = Considered(live)
    one.drop = stale(live, situation) or re_entry(live, situation)
    if one.drop is None:
        _reach(one, situation, ruleset)
    if one.drop is None:
        one.drop = engagement(live, situation.moment, situation.history)
    if one.drop is None:
        one.exposures = exposures(ruleset, live.rule, situation.moment.profile_id)
        one.drop = held_out(one.exposures)
    if one.drop is None:
        _keep_open(one, lambda index: _quiet(one, index, situation, ruleset))
    if one.drop is None:
        _keep_open(one, lambda index: _cap(one, index, situation, ruleset, []))
    if one.drop is None:
        one.score = _score(live, situation)
        if one.score.total <= 0 and live.rule.category == "marketing":
            beats = "the score beats doing nothing"
            one.drop = Drop("floor", "below_floor", beats, 0.0, one.score.total)
    return one


def _reach(one: Considered, situation: Situation, ruleset: RuleSet) -> None:
    """Keep the actions whose channel reaches the profile, whose consent is there, and which
    nothing that the customer did with earlier ones silences."""
    actions = one.live.rule.actions
    for index, spec in enumerate(actions):
        to = recipient(ruleset.channels, spec.channel, situation.moment)
        if isinstance(to, Drop):
            one.dropped[index] = to
            continue
        refused = consented(one.live, spec, situation, ruleset) or suppressed(
            ruleset, _contact(one.live, index, situation), situation
        )
        if refused is not None:
            one.dropped[index] = refused
        else:
            one.open.append((index, to))
    _fall_with_actions(one)


def _keep_open(one: Considered, gate: Gate) -> None:
    kept = []
    for index, to in one.open:
        drop = gate(index)
        if drop is None:
            kept.append((index, to))
        else:
            one.dropped[index] = drop
    one.open = kept
    _fall_with_actions(one)


_STAGES = ("channel", "consent", "suppression", "quiet_hours", "cap")


def _fall_with_actions(one: Considered) -> None:
    """A rule without an action left fell where the one that came furthest did."""
    if not one.open:
        one.drop = max(one.dropped.values(), key=lambda drop: _STAGES.index(drop.stage))


def _cap(
    one: Considered, index: int, situation: Situation, ruleset: RuleSet, more: list[Contact]
) -> Drop | None:
    contact, history = one.contacts[index], situation.history
    kin = history.kin(contact.household)
    return capped(ruleset, situation.moment, contact, history.contacts + more, kin)


def _quiet(one: Considered, index: int, situation: Situation, ruleset: RuleSet) -> Drop | None:
    """Whether quiet hours drop the action; else its contact stands at the instant after them."""
    contact = _contact(one.live, index, situation)
    instant = awaited(
        ruleset,
        situation.moment,
        channel=contact.channel,
        category=contact.category,
        at=contact.at,
    )
    if isinstance(instant, Drop):
        return instant
    one.contacts[index] = replace(contact, at=instant.at)
    one.waits[index] = instant.waits_for
    return None


def _contact(live: LiveRule, index: int, situation: Situation) -> Contact:
    rule, spec = live.rule, live.rule.actions[index]
    return Contact(
        action_id=situation.action_id(rule.key, index),
        at=situation.at + spec.delay,
        channel=spec.channel,
        category=rule.category,
        topic=rule.topic,
        group=rule.group,
        rule=rule.key,
        household=situation.moment.profile.household,
    )


def _score(live: LiveRule, situation: Situation) -> CandidateScore:
    worth, facts = live.rule.worth, situation.moment.facts
    return score(
        propensity=worth.propensity,
        value=worth.value,
        context_weights=[weight for holds, weight in live.contexts if holds(facts)],
        lever=worth.lever,
    )


def _arbitrate(considered: list[Considered], situation: Situation, ruleset: RuleSet) -> None:
    """Let the best act. What they plan counts for the caps of those behind them."""
    taken = 0
    best: Considered | None = None
    planned: list[Contact] = []
    for one in sorted((one for one in considered if one.drop is None), key=_rank):
        rule = one.live.rule
        free = rule.category in ruleset.unarbitrated
        if not free and best is not None and taken >= (rule.max_actions or ruleset.max_actions):
            one.drop = _outranked(one, best)
            continue
        _plan(one, situation, ruleset, planned)
        if one.planned and not free:
            taken += 1
            best = best or one


def _plan(one: Considered, situation: Situation, ruleset: RuleSet, planned: list[Contact]) -> None:
    for index, to in one.open:
        drop = _cap(one, index, situation, ruleset, planned)
        if drop is None:
            made = _render(one, index, to, situation, ruleset)
            if isinstance(made, Planned):
                one.planned.append(made)
                planned.append(made.contact)
                continue
            drop = made
        one.dropped[index] = drop
    if not one.planned:
        one.drop = max(one.dropped.values(), key=lambda drop: _STAGES.index(drop.stage))


def _render(
    one: Considered, index: int, to: Identifier | None, situation: Situation, ruleset: RuleSet
) -> Planned | Drop:
    spec = one.live.rule.actions[index]
    content = _content(spec, ruleset)
    if content is None:
        missing = f"there is a template {spec.template}"
        return Drop("channel", "no_template", missing, True, False)
    facts = situation.moment.facts
    wanted = "profile.locale" if spec.locale is None else spec.locale
    try:
        rendered = content.render(facts, locale_of(wanted, facts))
        check_content(ruleset.channels[spec.channel], rendered)
        queue = None if spec.queue is None else str(spec.queue.render(facts, None)[QUEUE])
    except ContentFailed as error:
        return Drop("channel", "content_failed", "the content can be rendered", None, str(error))
    contact = one.contacts[index]
    return Planned(
        live=one.live,
        spec=spec,
        index=index,
        entry_key=entry_key(one.live, situation),
        to=to,
        content=rendered,
        queue=queue,
        contact=contact,
        due_at=contact.at,
        expires_at=contact.at + spec.expires_in,
        waits_for=one.waits[index],
    )


def _content(spec: ActionSpec, ruleset: RuleSet) -> Content | None:
    if spec.content is not None:
        return spec.content
    template = ruleset.templates.get(spec.template or "")
    return None if template is None else template.content


def _outranked(one: Considered, best: Considered) -> Drop:
    assert one.score is not None  # noqa: S101 - open candidates have one
    assert best.score is not None  # noqa: S101 - the best was open
    beats = f"a better score than {best.live.key}"
    return Drop("arbitration", "lower_priority", beats, best.score.total, one.score.total)


def _rank(one: Considered) -> tuple[float, int, float, str]:
    assert one.score is not None  # noqa: S101 - only open candidates are ranked
    return rank(one.score, priority=one.live.rule.priority, key=one.live.key)


def _reading_order(one: Considered) -> tuple[bool, bool, tuple[float, int, float], str]:
    """Winners first, then whoever had a score, the best first; the rest by key."""
    if one.score is None:
        return (True, True, (0.0, 0, 0.0), one.live.key)
    return (not one.planned, False, _rank(one)[:3], one.live.key)
