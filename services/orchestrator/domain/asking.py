"""Asks the options of a candidate's actions, gate after gate, and plans those that are taken."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial

from services.orchestrator.domain.contact_gates import awaited, capped, suppressed
from services.orchestrator.domain.gates import Drop, Situation, consented, recipient
from services.orchestrator.domain.history import Contact
from services.orchestrator.domain.live_rule import LiveRule
from services.orchestrator.domain.options import Choice, choice_of, furthest
from services.orchestrator.domain.planned import Planned, contact_of, plan
from services.orchestrator.domain.preference import ordered
from services.orchestrator.domain.quiet import Instant
from services.orchestrator.domain.rule import ActionSpec
from services.orchestrator.domain.trigger_index import RuleSet
from services.orchestrator.domain.unproved import unproved


def choice_for(index: int, spec: ActionSpec, situation: Situation, ruleset: RuleSet) -> Choice:
    """The choice that an action is, its options in the order that the policies prefer."""
    if not spec.fallback or not ruleset.joint.channel_preference:
        return choice_of(index, spec)
    specs = (spec, *(fallback.spec for fallback in spec.fallback))
    order = ordered(ruleset.policies, specs, situation.moment, situation.history)
    return choice_of(index, spec, order)


Place = tuple[int, int]
"""The index of an action, and 0 or the number of its fallback."""


class Asking:
    """Asks the options of one candidate, each question of each option once.

    What other candidates plan before it is said with `beside`; only caps depend on that.
    """

    def __init__(self, live: LiveRule, situation: Situation, ruleset: RuleSet) -> None:
        self._live = live
        self._situation = situation
        self._ruleset = ruleset
        self._planned: list[Contact] = []
        self._made: dict[int, Planned] = {}
        self._reached: dict[Place, Drop | None] = {}
        self._outsets: dict[Place, Contact] = {}
        self._contacts: dict[Place, tuple[Contact, Instant] | Drop] = {}
        self._capped: dict[Place, tuple[int, Drop | None]] = {}

    def beside(self, planned: list[Contact]) -> None:
        """From now on these contacts count as well, and those of this candidate are added."""
        self._planned = planned

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
        place = (choice.index, option)
        if place not in self._reached:
            self._reached[place] = self._reach(choice, option)
        return self._reached[place]

    def _reach(self, choice: Choice, option: int) -> Drop | None:
        live, situation, ruleset = self._live, self._situation, self._ruleset
        spec = choice.specs[option]
        to = recipient(ruleset.channels, spec.channel, situation.moment)
        if isinstance(to, Drop):
            return to
        contact = self._outset(choice, option)
        return (
            unproved(ruleset, contact, situation.moment)
            or consented(live, spec, situation, ruleset)
            or suppressed(ruleset, contact, situation)
        )

    def contact(self, choice: Choice, option: int) -> Drop | None:
        """Whether it may be reached, and a contact after the quiet hours breaks no cap."""
        drop = self.reach(choice, option)
        if drop is not None:
            return drop
        found = self._contact(choice, option)
        if isinstance(found, Drop):
            return found
        place, beside = (choice.index, option), len(self._planned)
        known = self._capped.get(place)
        if known is None or known[0] != beside:
            contact, history = found[0], self._situation.history
            others, kin = history.contacts + self._planned, history.kin(contact.household)
            drop = capped(self._ruleset, self._situation.moment, contact, others, kin)
            known = self._capped[place] = (beside, drop)
        return known[1]

    def _outset(self, choice: Choice, option: int) -> Contact:
        """The contact that it would be if nothing put it off."""
        place = (choice.index, option)
        known = self._outsets.get(place)
        if known is None:
            known = contact_of(self._live, choice, option, self._situation)
            self._outsets[place] = known
        return known

    def _contact(self, choice: Choice, option: int) -> tuple[Contact, Instant] | Drop:
        """The contact at the instant after the quiet hours."""
        place = (choice.index, option)
        known = self._contacts.get(place)
        if known is None:
            contact = self._outset(choice, option)
            instant = awaited(
                self._ruleset,
                self._situation.moment,
                channel=contact.channel,
                category=contact.category,
                at=contact.at,
            )
            known = instant if isinstance(instant, Drop) else (_at(contact, instant), instant)
            self._contacts[place] = known
        return known

    def instant(self, choice: Choice) -> datetime:
        """When the option of a choice that was taken would happen."""
        assert choice.taken is not None  # noqa: S101 - asked only of open choices
        found = self._contact(choice, choice.taken)
        assert not isinstance(found, Drop)  # noqa: S101 - it was taken
        return found[1].at

    def plan(self, choice: Choice, option: int) -> Drop | None:
        """The same, and its content can be rendered."""
        drop = self.contact(choice, option)
        found = self._contact(choice, option) if drop is None else drop
        if isinstance(found, Drop):
            return found
        contact, instant = found
        made = plan(
            self._live,
            choice,
            option,
            self._situation,
            self._ruleset,
            contact,
            instant.waits_for,
        )
        if isinstance(made, Drop):
            return made
        self._made[choice.index] = made
        self._planned.append(made.contact)
        return None

    @property
    def made(self) -> list[Planned]:
        """What was planned, by the index of the action."""
        return [self._made[index] for index in sorted(self._made)]


def _at(contact: Contact, instant: Instant) -> Contact:
    return contact if contact.at == instant.at else replace(contact, at=instant.at)
