"""All journeys in force, compiled once: whom an event lets in, what ends runs, rules of nodes."""

from collections.abc import Collection, Iterable, Mapping

from services.orchestrator.domain.change_index import ChangeIndex
from services.orchestrator.domain.journeys.candidate import rule_of
from services.orchestrator.domain.journeys.journey import Act, Jump
from services.orchestrator.domain.journeys.live import LiveJourney, Watched, key_of
from services.orchestrator.domain.live_rule import LiveRule, compile_rule
from services.orchestrator.domain.rule import Trigger
from services.orchestrator.domain.schedule import SCHEDULE_EVENT
from services.orchestrator.domain.update import Cause, Routed
from shared.conditions.facts import Facts
from shared.conditions.index import ConditionIndex, Entry
from shared.conditions.tree import All, Compare, Condition
from shared.contracts.topics import OWN_SOURCE

ENTER_EVENT = "concert.journey"
"""The type of the event of Concert's own that lets people into a journey with an `api` entry."""

Step = tuple[str, int, str]
"""A node of a version of a journey: key, version, id."""


class BehindError(Exception):
    """A run goes by a version that this process has not loaded yet; it will have it shortly."""


class JourneySet:
    """The journeys of one epoch by key, and who is concerned by what."""

    def __init__(self, journeys: Iterable[LiveJourney] = ()) -> None:
        self.journeys: Mapping[str, LiveJourney] = {one.key: one for one in journeys}
        entered = [
            (one.current.journey.entry, one)
            for one in self.journeys.values()
            if one.current is not None
        ]
        entries = [entry for trigger, one in entered if (entry := _entry(trigger, one)) is not None]
        self._entries: ConditionIndex[LiveJourney] = ConditionIndex(entries)
        self._changes = ChangeIndex(entered)
        self._triggers = frozenset(one.event_type for one in entries if one.event_type)
        self._exits = _exits_by_event(self.journeys.values())
        self._steps = _rules_of_steps(self.journeys.values())
        self.rules: Mapping[str, LiveRule] = {live.key: live for live in self._steps.values()}
        """The newest rule of each node that acts, by `<journey>/<node>`."""
        self._rules_by_journey: dict[str, dict[str, LiveRule]] = {}
        for (key, _, _), live in self._steps.items():
            self._rules_by_journey.setdefault(key, {})[live.key] = live
        self._leads = {one.key: _jumps(one) for one in self.journeys.values()}
        self.listens = self._triggers | self._exits.keys()
        """Event types that let somebody in, or may have to be remembered as an exit."""
        self.watches = not self._changes.is_empty
        """Whether a change of a profile lets anybody in."""

    def concerns(self, update: Routed) -> bool:
        """Whether an update that is no event may let somebody in, as far as routing can tell."""
        return self.watches and self._changes.concerns(update)

    def entering(self, facts: Facts, cause: Cause) -> list[LiveJourney]:
        """The journeys whose entry the update is; each once, by key."""
        found = self._entries.match(facts) if facts.event_type in self._triggers else []
        if self.watches:
            found = [*found, *self._changes.match(cause, facts)]
        return sorted({one.key: one for one in found}.values(), key=lambda one: one.key)

    def exits(self, facts: Facts) -> set[str]:
        """Under which names it is to be remembered that the event of the facts ends runs."""
        known = self._exits.get(facts.event_type or "", ())
        return {
            one.mark("" if one.read is None else key_of(one.read, facts))
            for one in known
            if one.holds(facts)
        }

    def reachable(self, entering: Collection[str], standing: Collection[str]) -> set[str]:
        """The journeys `entering`, and all that these and those of `standing` lead to."""
        found, ahead = set(entering), [*entering, *standing]
        while ahead:
            for key in self._leads.get(ahead.pop(), ()):
                if key not in found:
                    found.add(key)
                    ahead.append(key)
        return found

    def marks(self, journey: LiveJourney, facts: Facts) -> list[str]:
        """Under which names it is remembered that what ends a run, which these facts would begin,
        has come already."""
        version = journey.current
        if version is None:
            return []
        key = "" if version.entry_key is None else key_of(version.entry_key, facts)
        return [one.mark(key) for one in version.exits if isinstance(one, Watched)]

    def rules_of(self, journeys: Collection[str]) -> dict[str, LiveRule]:
        """The newest rules of the nodes of these journeys."""
        return {
            name: live
            for journey in journeys
            for name, live in self._rules_by_journey.get(journey, {}).items()
        }

    def live(self, key: str) -> LiveJourney:
        """The journey that somebody is in. Raises BehindError while it is not loaded."""
        found = self.journeys.get(key)
        if found is None:
            raise BehindError(f"journey {key}")
        return found

    def rule(self, journey: str, version: int, node: str) -> LiveRule:
        """What a node wants, as the rule that the arbiter is asked about. Raises KeyError where the
        node does not act."""
        return self._steps[(journey, version, node)]


def _entry(trigger: Trigger, journey: LiveJourney) -> Entry[LiveJourney] | None:
    if trigger.kind == "event":
        return Entry(journey, trigger.event, trigger.where)
    own: tuple[Condition, ...] = (
        Compare("event.source", "eq", OWN_SOURCE),
        Compare("event.journey", "eq", journey.key),
    )
    if trigger.kind == "schedule":
        return Entry(journey, SCHEDULE_EVENT, All(own))
    if trigger.kind == "api":
        where = () if trigger.where is None else (trigger.where,)
        return Entry(journey, ENTER_EVENT, All((*own, *where)))
    return None


def _exits_by_event(journeys: Iterable[LiveJourney]) -> dict[str, tuple[Watched, ...]]:
    found: dict[str, dict[tuple[str, bool], Watched]] = {}
    for one in journeys:
        for criterion in one.current.exits if one.current is not None else ():
            if isinstance(criterion, Watched):
                place = (criterion.criterion, criterion.read is None)
                found.setdefault(criterion.event, {})[place] = criterion
    return {event: tuple(criteria.values()) for event, criteria in found.items()}


def _jumps(journey: LiveJourney) -> frozenset[str]:
    return frozenset(
        node.does.journey
        for version in journey.versions.values()
        for node in version.nodes.values()
        if isinstance(node.does, Jump)
    )


def _rules_of_steps(journeys: Iterable[LiveJourney]) -> dict[Step, LiveRule]:
    """In the order of the versions: the newest is last."""
    return {
        (one.key, number, node.id): compile_rule(rule_of(version.journey, node.id))
        for one in journeys
        for number, version in sorted(one.versions.items())
        for node in version.nodes.values()
        if isinstance(node.does, Act)
    }
