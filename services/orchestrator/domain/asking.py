"""Asks the options of a candidate's actions, gate after gate, and plans those that are taken."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial

from services.orchestrator.domain.contact_gates import awaited, capped, suppressed
from services.orchestrator.domain.gates import Drop, Situation, consented, recipient
from services.orchestrator.domain.history import Contact
from services.orchestrator.domain.options import Choice, choice_of, furthest
from services.orchestrator.domain.planned import Planned, contact_of, plan
from services.orchestrator.domain.preference import ordered
from services.orchestrator.domain.quiet import Instant
from services.orchestrator.domain.rule import ActionSpec
from services.orchestrator.domain.trigger_index import LiveRule, RuleSet


def choice_for(index: int, spec: ActionSpec, situation: Situation, ruleset: RuleSet) -> Choice:
    """The choice that an action is, its options in the order that the policies prefer."""
    if not spec.fallback or not ruleset.joint.channel_preference:
        return choice_of(index, spec)
    specs = (spec, *(fallback.spec for fallback in spec.fallback))
    order = ordered(ruleset.policies, specs, situation.moment, situation.history)
    return choice_of(index, spec, order)


class Asking:
    """Asks the options of one candidate; `planned` are contacts that others take before it, and
    then its own too."""

    def __init__(
        self, live: LiveRule, situation: Situation, ruleset: RuleSet, planned: list[Contact]
    ) -> None:
        self._live = live
        self._situation = situation
        self._ruleset = ruleset
        self._planned = planned
        self._made: dict[int, Planned] = {}
        self._instants: dict[tuple[int, int], Instant] = {}

    def walk(
        self, choices: Sequence[Choice], gate: Callable[[Choice, int], Drop | None]
    ) -> Drop | None:
        """Take of every action the first option that passes; the rule falls when none does."""
        for choice in choices:
            choice.walk(partial(gate, choice))
        if all(choice.taken is None for choice in choices):
            return furthest(choices)
        return None

    def reach(self, choice: Choice, option: int) -> Drop | None:
        """Whether the channel reaches the profile, its consent is there, and nothing that the
        customer did with earlier actions silences it."""
        live, situation, ruleset = self._live, self._situation, self._ruleset
        spec = choice.specs[option]
        to = recipient(ruleset.channels, spec.channel, situation.moment)
        if isinstance(to, Drop):
            return to
        contact = contact_of(live, choice, option, situation)
        return consented(live, spec, situation, ruleset) or suppressed(ruleset, contact, situation)

    def contact(self, choice: Choice, option: int) -> Drop | None:
        """Whether it may be reached, and a contact after the quiet hours breaks no cap."""
        drop = self.reach(choice, option)
        if drop is not None:
            return drop
        situation = self._situation
        contact = contact_of(self._live, choice, option, situation)
        instant = awaited(
            self._ruleset,
            situation.moment,
            channel=contact.channel,
            category=contact.category,
            at=contact.at,
        )
        if isinstance(instant, Drop):
            return instant
        self._instants[(choice.index, option)] = instant
        contact, history = replace(contact, at=instant.at), situation.history
        others, kin = history.contacts + self._planned, history.kin(contact.household)
        return capped(self._ruleset, situation.moment, contact, others, kin)

    def instant(self, choice: Choice) -> datetime:
        """When the option of a choice that was taken would happen."""
        assert choice.taken is not None  # noqa: S101 - asked only of open choices
        return self._instants[(choice.index, choice.taken)].at

    def plan(self, choice: Choice, option: int) -> Drop | None:
        """The same, and its content can be rendered."""
        drop = self.contact(choice, option)
        if drop is not None:
            return drop
        live, situation = self._live, self._situation
        instant = self._instants[(choice.index, option)]
        contact = replace(contact_of(live, choice, option, situation), at=instant.at)
        made = plan(live, choice, option, situation, self._ruleset, contact, instant.waits_for)
        if isinstance(made, Drop):
            return made
        self._made[choice.index] = made
        self._planned.append(made.contact)
        return None

    @property
    def made(self) -> list[Planned]:
        """What was planned, by the index of the action."""
        return [self._made[index] for index in sorted(self._made)]
