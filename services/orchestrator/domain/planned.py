"""An action as it will happen: on which channel, to whom, with what content, and when."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.orchestrator.domain.channel_content import check_content
from services.orchestrator.domain.content import Content, ContentFailed, locale_of
from services.orchestrator.domain.gates import Drop, Situation, entry_key, recipient
from services.orchestrator.domain.history import Contact, Use
from services.orchestrator.domain.live_rule import LiveRule
from services.orchestrator.domain.options import Choice
from services.orchestrator.domain.rule import MAX_QUEUE, QUEUE, ActionSpec
from services.orchestrator.domain.run import Step
from services.orchestrator.domain.trigger_index import RuleSet
from services.orchestrator.domain.update import Moment
from shared.conditions.facts import Facts
from shared.contracts.touchpoint import Identifier


@dataclass(frozen=True, slots=True, eq=False)
class Planned:
    """An action that will happen, with its content; `contact` is what the ledger reserves, `uses`
    what is reserved of scarce resources.

    `option` is 0 for the action itself, n for its n-th fallback; `first` is the action's own id.
    """

    live: LiveRule
    spec: ActionSpec
    index: int
    option: int
    first: UUID
    entry_key: str
    persona: str
    to: Identifier | None
    content: dict[str, object]
    queue: str | None
    contact: Contact
    due_at: datetime
    expires_at: datetime
    uses: tuple[Use, ...] = ()
    step: Step | None = None
    """The step of a run that wants it."""
    waits_for: str | None = None
    """What it waits for beyond its own delay: quiet hours, in words."""

    @property
    def action_id(self) -> UUID:
        return self.contact.action_id

    @property
    def instead_of(self) -> UUID | None:
        """The action that a fallback stands in for."""
        return self.first if self.option else None


def contact_of(live: LiveRule, choice: Choice, option: int, situation: Situation) -> Contact:
    """The contact that an option would be, at its planned instant."""
    rule, spec = live.rule, choice.specs[option]
    return Contact(
        action_id=situation.action_id(rule.key, choice.index, option),
        at=situation.at + spec.delay,
        channel=spec.channel,
        category=rule.category,
        topic=rule.topic,
        group=rule.group,
        rule=rule.key,
        household=situation.moment.profile.household,
    )


def persona_of(moment: Moment) -> str:
    """The key of the profile's persona; empty when it has none."""
    persona = moment.profile.persona
    return "" if persona is None else str(persona.get("key") or "")


def plan(
    live: LiveRule,
    choice: Choice,
    option: int,
    situation: Situation,
    ruleset: RuleSet,
    contact: Contact,
    waits_for: str | None,
) -> Planned | Drop:
    """The option with its content and its address, or why it cannot be done."""
    spec = choice.specs[option]
    content = _content(spec, ruleset)
    if content is None:
        missing = f"there is a template {spec.template}"
        return Drop("channel", "no_template", missing, True, False)
    facts = situation.moment.facts
    wanted = "profile.locale" if spec.locale is None else spec.locale
    try:
        rendered = content.render(facts, locale_of(wanted, facts))
        check_content(ruleset.channels[spec.channel], rendered)
        queue = _queue(spec, facts)
    except ContentFailed as error:
        return Drop("channel", "content_failed", "the content can be rendered", None, str(error))
    to = recipient(ruleset.channels, spec.channel, situation.moment)
    if isinstance(to, Drop):
        return to
    return Planned(
        live=live,
        spec=spec,
        index=choice.index,
        option=option,
        first=situation.action_id(live.key, choice.index, 0),
        entry_key=entry_key(live, situation),
        persona=persona_of(situation.moment),
        to=to,
        content=rendered,
        queue=queue,
        contact=contact,
        due_at=contact.at,
        expires_at=contact.at + spec.expires_in,
        step=situation.step,
        waits_for=waits_for,
    )


def _queue(spec: ActionSpec, facts: Facts) -> str | None:
    """The name of the queue, rendered. Raises ContentFailed."""
    if spec.queue is None:
        return None
    name = str(spec.queue.render(facts, None)[QUEUE])
    if len(name) > MAX_QUEUE:
        raise ContentFailed(f"the name of the queue has more than {MAX_QUEUE} characters")
    return name


def _content(spec: ActionSpec, ruleset: RuleSet) -> Content | None:
    if spec.content is not None:
        return spec.content
    template = ruleset.templates.get(spec.template or "")
    return None if template is None else template.content
