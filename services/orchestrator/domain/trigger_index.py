"""Everything that is live, compiled once: which rules an event concerns, and how to ask them.

A `RuleSet` is built when the configuration changed and never changes itself; the worker swaps it
for the next one between two batches.
"""

from collections.abc import Iterable, Mapping
from copy import copy
from datetime import timedelta

from services.orchestrator.domain.change_index import ChangeIndex
from services.orchestrator.domain.channel import Channel, default_channels
from services.orchestrator.domain.contact_policy import NO_WINDOW, ContactPolicy
from services.orchestrator.domain.content import Template
from services.orchestrator.domain.estimates import Estimates
from services.orchestrator.domain.experiments.assignment import Running
from services.orchestrator.domain.experiments.experiment import Metric
from services.orchestrator.domain.experiments.in_force import Assigned, Experiments
from services.orchestrator.domain.experiments.measure import Measures
from services.orchestrator.domain.holdout import RULE, UNIVERSAL, name_of
from services.orchestrator.domain.joint_policy import JointPolicy
from services.orchestrator.domain.journey_set import JourneySet
from services.orchestrator.domain.journeys.live import LiveJourney
from services.orchestrator.domain.live_rule import ExitEvent, LiveRule, compile_rule
from services.orchestrator.domain.resource import Resource
from services.orchestrator.domain.rule import Holdout, Rule
from services.orchestrator.domain.schedule import SCHEDULE_EVENT
from services.orchestrator.domain.update import Cause, Routed
from shared.conditions.facts import Facts
from shared.conditions.index import ConditionIndex, Entry
from shared.conditions.tree import All, Compare
from shared.contracts.delivery import OUTCOMES, event_type
from shared.contracts.topics import OWN_SOURCE

ASK = "decide"
"""The type of the event that conditions see when somebody asks what to do now."""


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
        journeys: Iterable[LiveJourney] = (),
        experiments: Iterable[Running] = (),
        before: "RuleSet | None" = None,
    ) -> None:
        """Compile everything; what is the same as `before`, the very same rules, is taken from
        there."""
        self.epoch = epoch
        self.rules: Mapping[str, LiveRule] = _compiled(
            rules, {} if before is None else before.rules
        )
        self.journeys = JourneySet(journeys)
        self.acting: Mapping[str, LiveRule] = {**self.rules, **self.journeys.rules}
        """All that acts: the rules, and the nodes of journeys as rules."""
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
        self.experiments = Experiments(experiments)
        self.measures = Measures(self.experiments.running.values(), self._measured_holdouts())
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
        self.watches = not self._changes.is_empty or self.journeys.watches
        """Whether a change of a profile triggers any rule, or lets anybody into a journey."""
        self._exits = _exits_by_event(self.rules.values())
        self._triggers = frozenset(entry.event_type for entry in entries if entry.event_type)
        self.listens = self._listens()
        """Event types that concern a rule or a journey, count for a metric, or say what became of
        an action; everything else needs no decoding at all."""

    def _listens(self) -> frozenset[str]:
        return (
            self._triggers
            | self._exits.keys()
            | self.journeys.listens
            | self.measures.listens
            | _outcome_types(self.channels)
        )

    def learned(self, estimates: Estimates) -> "RuleSet":
        """The same configuration with other estimates."""
        other = copy(self)
        other.estimates = estimates
        return other

    def with_arms(self, known: Mapping[str, Assigned]) -> "RuleSet":
        """The same configuration for one person, whose arms are known by their experiments."""
        other = copy(self)
        other.experiments = Experiments(self.experiments.running.values(), known)
        return other

    def holdouts(self) -> list[tuple[str, Holdout]]:
        """The holdouts of policies and rules that have a metric, with their layers; each once."""
        found = [(UNIVERSAL, policy.holdout) for policy in self.policies]
        found += [(RULE, live.rule.holdout) for _, live in sorted(self.rules.items())]
        measured = {
            (layer, one.salt, one.percent, one.metric.key): (layer, one)
            for layer, one in reversed(found)
            if one is not None and one.metric is not None
        }
        return [measured[place] for place in sorted(measured)]

    def _measured_holdouts(self) -> dict[str, list[Metric]]:
        found: dict[str, dict[str, Metric]] = {}
        for layer, holdout in self.holdouts():
            if holdout.metric is not None:
                name = name_of(layer, holdout)
                found.setdefault(name, {}).setdefault(holdout.metric.key, holdout.metric)
        return {name: list(metrics.values()) for name, metrics in found.items()}

    def window_of(self, live: LiveRule) -> timedelta:
        """For how long the rule's candidates wait for others to compete with."""
        if live.rule.category in self.unarbitrated:
            return NO_WINDOW
        return self.window if live.rule.window is None else live.rule.window

    def concerns(self, update: Routed) -> bool:
        """Whether an update may be of consequence to a rule or a journey, as far as routing can
        tell."""
        return update.cause.type in self.listens or (
            self.watches and (self._changes.concerns(update) or self.journeys.concerns(update))
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


def _compiled(rules: Iterable[Rule], known: Mapping[str, LiveRule]) -> dict[str, LiveRule]:
    return {
        rule.key: found
        if (found := known.get(rule.key)) is not None and found.rule is rule
        else compile_rule(rule)
        for rule in rules
    }


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
