"""Everything that is live, compiled once: which rules an event concerns, and how to ask them.

A `RuleSet` is built when the configuration changed and never changes itself; the worker swaps it
for the next one between two batches.
"""

from collections.abc import Iterable, Mapping
from copy import copy
from dataclasses import dataclass
from datetime import timedelta

from services.orchestrator.domain.change_index import ChangeIndex
from services.orchestrator.domain.channel import Channel, default_channels
from services.orchestrator.domain.contact_policy import NO_WINDOW, ContactPolicy
from services.orchestrator.domain.content import Template
from services.orchestrator.domain.estimates import Estimates
from services.orchestrator.domain.joint_policy import JointPolicy
from services.orchestrator.domain.resource import Resource
from services.orchestrator.domain.rule import Rule
from services.orchestrator.domain.update import Cause, Routed
from shared.conditions.closure import Holds, compile_condition
from shared.conditions.explain import Explained, Failure
from shared.conditions.facts import Facts, Read, reader
from shared.conditions.index import ConditionIndex, Entry
from shared.conditions.leaves import is_of_one_event, leaf_hash, of_this_event
from shared.conditions.sentence import sentence
from shared.conditions.tree import All, Compare, Condition, EventCount
from shared.contracts.delivery import OUTCOMES, event_type
from shared.contracts.topics import OWN_SOURCE

SCHEDULE_EVENT = "concert.schedule"
"""The type of the event that goes to a scheduled rule's audience; `properties.rule` names it."""

ASK = "decide"
"""The type of the event that conditions see when somebody asks what to do now."""


class Clause:
    """One condition of a rule: a fast answer, and the reason for it when somebody has to see it."""

    __slots__ = ("_explained", "holds", "words")

    def __init__(self, condition: Condition) -> None:
        self.holds: Holds = compile_condition(condition)
        self.words = sentence(condition)
        self._explained = Explained(condition)

    def failure(self, facts: Facts) -> Failure | None:
        """The part that does not hold and what it saw; None when the condition holds."""
        return None if self.holds(facts) else self._explained.failure(facts)


@dataclass(frozen=True, slots=True, eq=False)
class ExitEvent:
    """A later touchpoint that ends a reason; `criterion` is the same for equal events."""

    criterion: str
    event: str
    holds: Holds
    words: str


@dataclass(frozen=True, slots=True, eq=False)
class LiveRule:
    """A rule with its conditions compiled. Without explicit exit criteria, both are empty."""

    rule: Rule
    eligibility: Clause | None
    applicability: Clause | None
    suitability: Clause | None
    contexts: tuple[tuple[Holds, float], ...]
    exit_events: tuple[ExitEvent, ...]
    exit_conditions: tuple[Clause, ...]
    entry_key: Read | None

    @property
    def key(self) -> str:
        return self.rule.key

    @property
    def remembers_entries(self) -> bool:
        """Whether a decision has to know when the rule last acted."""
        return self.rule.re_entry.mode == "never" or bool(self.rule.re_entry.cooldown)

    @property
    def has_fallbacks(self) -> bool:
        """Whether something may be done instead of what it does."""
        return any(spec.fallback for spec in self.rule.actions)

    @property
    def keeps_watch(self) -> bool:
        """Whether its published actions can still be taken back."""
        return self.rule.exit_criteria is not None


class RuleSet:
    """The configuration of one epoch: rules by key and by event, policies, channels, templates."""

    def __init__(
        self,
        *,
        epoch: int,
        rules: Iterable[Rule] = (),
        policies: Iterable[ContactPolicy] = (),
        channels: Iterable[Channel] = (),
        templates: Iterable[Template] = (),
        resources: Iterable[Resource] = (),
        before: "RuleSet | None" = None,
    ) -> None:
        """Compile everything; what is the same as `before`, the very same rules, is taken from
        there."""
        self.epoch = epoch
        known = {} if before is None else before.rules
        self.rules: Mapping[str, LiveRule] = {
            rule.key: found
            if (found := known.get(rule.key)) is not None and found.rule is rule
            else _compile(rule)
            for rule in rules
        }
        self.joint = JointPolicy(policies)
        self.policies = self.joint.policies
        self.max_actions = self.joint.max_actions
        self.window = self.joint.window
        self.customer_weight = self.joint.customer_weight
        self.unarbitrated = self.joint.unarbitrated
        self.longest_window = self.joint.longest_window
        self.household_window = self.joint.household_window
        self.resources = {resource.key: resource for resource in resources}
        self.estimates = Estimates()
        self.channels = default_channels() | {channel.key: channel for channel in channels}
        self.connected = frozenset(
            channel.key for channel in self.channels.values() if channel.is_built_in
        )
        """Channels whose messages Concert brings there itself."""
        self.templates = {template.key: template for template in templates}
        self.asked = tuple(live for live in self.rules.values() if live.rule.trigger.kind == "api")
        """The rules that only a question for the next best action triggers."""
        entries = [entry for live in self.rules.values() if (entry := _entry(live)) is not None]
        self.index: ConditionIndex[LiveRule] = ConditionIndex(
            entries, None if before is None else before.index
        )
        self._asked = ConditionIndex(
            Entry(live, ASK, live.rule.trigger.where) for live in self.asked
        )
        self._changes = ChangeIndex((live.rule.trigger, live) for live in self.rules.values())
        self.watches = not self._changes.is_empty
        """Whether a change of a profile triggers any rule."""
        self._exits = _exits_by_event(self.rules.values())
        self._triggers = frozenset(entry.event_type for entry in entries if entry.event_type)
        self.listens = self._triggers | self._exits.keys() | _outcome_types(self.channels)
        """Event types that concern any rule, or say what became of an action; everything else
        needs no decoding at all."""

    def learned(self, estimates: Estimates) -> "RuleSet":
        """The same configuration with other estimates."""
        other = copy(self)
        other.estimates = estimates
        return other

    def window_of(self, live: LiveRule) -> timedelta:
        """For how long the rule's candidates wait for others to compete with."""
        if live.rule.category in self.unarbitrated:
            return NO_WINDOW
        return self.window if live.rule.window is None else live.rule.window

    def concerns(self, update: Routed) -> bool:
        """Whether an update may be of consequence to a rule, as far as routing can tell."""
        return update.cause.type in self.listens or (
            self.watches and self._changes.concerns(update)
        )

    def candidates(self, facts: Facts, cause: Cause | None = None) -> list[LiveRule]:
        """The rules that the event of the facts triggers, and those that what else `cause` says
        triggers; each once."""
        found = self.index.match(facts) if facts.event_type in self._triggers else []
        if cause is None or not self.watches:
            return found
        return found + self._changes.match(cause, facts)

    def candidates_of_ask(self, facts: Facts) -> list[LiveRule]:
        """The rules that answer an ask, whose `where` holds for the facts of it."""
        return self._asked.match(facts)

    def exits(self, facts: Facts) -> list[ExitEvent]:
        """The exit events that the event of the facts is."""
        known = self._exits.get(facts.event_type or "", ())
        return [event for event in known if event.holds(facts)]


def _outcome_types(channels: Iterable[str]) -> frozenset[str]:
    """The types of the delivery events of these channels, and those without a channel."""
    named = (event_type(channel, outcome) for channel in channels for outcome in OUTCOMES)
    return frozenset([*named, *OUTCOMES])


def _entry(live: LiveRule) -> Entry[LiveRule] | None:
    """What the index asks of an event; None for rules that no event triggers."""
    trigger = live.rule.trigger
    if trigger.kind == "event":
        return Entry(live, trigger.event, trigger.where)
    if trigger.kind == "schedule":
        own = Compare("event.source", "eq", OWN_SOURCE), Compare("event.rule", "eq", live.key)
        return Entry(live, SCHEDULE_EVENT, All(own))
    return None


def _exits_by_event(rules: Iterable[LiveRule]) -> dict[str, tuple[ExitEvent, ...]]:
    found: dict[str, dict[str, ExitEvent]] = {}
    for live in rules:
        for event in live.exit_events:
            found.setdefault(event.event, {})[event.criterion] = event
    return {name: tuple(events.values()) for name, events in found.items()}


def _compile(rule: Rule) -> LiveRule:
    policy = rule.engagement_policy
    criteria = rule.exit_criteria or ()
    events = [one for one in criteria if isinstance(one, EventCount) and is_of_one_event(one)]
    key = rule.re_entry.key
    return LiveRule(
        rule=rule,
        eligibility=_clause(policy.eligibility),
        applicability=_clause(policy.applicability),
        suitability=_clause(policy.suitability),
        contexts=tuple((compile_condition(when), weight) for when, weight in rule.worth.context),
        exit_events=tuple(_exit_event(one) for one in events),
        exit_conditions=tuple(Clause(one) for one in criteria if one not in events),
        entry_key=None if key is None else reader(key),
    )


def _clause(condition: Condition | None) -> Clause | None:
    return None if condition is None else Clause(condition)


def _exit_event(leaf: EventCount) -> ExitEvent:
    condition = of_this_event(leaf)
    return ExitEvent(leaf_hash(leaf), leaf.event, compile_condition(condition), sentence(condition))
