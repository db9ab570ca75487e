"""A journey as it is in force: its versions compiled once, and which of them a run goes by."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from services.orchestrator.domain.journeys.journey import (
    Awaited,
    Awaiting,
    Branch,
    Criterion,
    Journey,
    Node,
    OnDate,
)
from services.orchestrator.domain.live_rule import Clause
from shared.conditions.closure import Holds, compile_condition
from shared.conditions.facts import Facts, Read, reader
from shared.conditions.leaves import leaf_hash, of_this_event
from shared.conditions.sentence import sentence
from shared.conditions.tree import EventCount

MAX_KEY = 200


@dataclass(frozen=True, slots=True, eq=False)
class Watched:
    """A later touchpoint that somebody waits for; `read` finds what has to be the run's key.
    `criterion` is the same for equal events."""

    criterion: str
    event: str
    holds: Holds
    read: Read | None
    words: str

    def is_met(self, event: Facts, key: str) -> bool:
        """Whether the event is such a touchpoint, for a run with this key."""
        return self.holds(event) and (self.read is None or key_of(self.read, event) == key)

    def mark(self, key: str) -> str:
        """The name under which it is remembered that such a touchpoint came, for runs with this
        key: of those that ask for no key, for all."""
        return self.criterion if self.read is None else f"{self.criterion}/{key}"


Compiled = Watched | Clause


class LiveVersion:
    """A version with its conditions compiled."""

    def __init__(self, journey: Journey) -> None:
        self.journey = journey
        self.nodes: Mapping[str, Node] = journey.nodes
        self.exits = tuple(_compile(one) for one in journey.exit_criteria)
        self.goal = None if journey.goal is None else _watch(journey.goal.what)
        self.awaited: dict[str, Compiled] = {}
        self.cases: dict[str, tuple[Holds, ...]] = {}
        self.dates: dict[str, Read] = {}
        for node in journey.nodes.values():
            match node.does:
                case Awaiting(what, _):
                    self.awaited[node.id] = _compile(what)
                case Branch(cases):
                    self.cases[node.id] = tuple(compile_condition(case) for case in cases)
                case OnDate(attr):
                    self.dates[node.id] = reader(attr)
                case _:
                    pass
        key = journey.re_entry.key
        self.entry_key = None if key is None else reader(key)


class LiveJourney:
    """All versions that runs are in, and the one that people enter: `live` is None when nobody may
    enter any more. While it is `paused`, no run takes a step. `winners` names the arm of an
    experiment by its node, once that is decided without a new version."""

    def __init__(
        self,
        versions: Iterable[Journey],
        *,
        live: int | None,
        paused: bool = False,
        winners: Mapping[str, str] | None = None,
    ) -> None:
        self.versions = {one.version: LiveVersion(one) for one in versions}
        self.current = None if live is None else self.versions[live]
        self.key = next(iter(self.versions.values())).journey.key
        self.paused = paused
        self.winners = winners or {}
        followed = [
            self.versions[number]
            for number in sorted(self.versions)
            if self.versions[number].journey.version_policy == "follow_live"
        ]
        self._later = {
            number: [one for one in followed if one.journey.version > number]
            for number in self.versions
        }

    def later(self, version: int) -> list[LiveVersion]:
        """The versions after this one that its runs follow, in order. One that leaves runs where
        they are is passed over: the next one that is followed takes them along."""
        return self._later[version]

    def followed(self, version: int) -> LiveVersion:
        """The version of which a run of this version takes its next step."""
        later = self._later[version]
        return later[-1] if later else self.versions[version]


def key_of(read: Read, facts: Facts) -> str:
    """The key that tells runs apart; empty when the attribute is missing."""
    value = read(facts)
    return "" if value is None else str(value)[:MAX_KEY]


def _compile(criterion: Criterion) -> Compiled:
    return _watch(criterion) if isinstance(criterion, Awaited) else Clause(criterion)


def _watch(awaited: Awaited) -> Watched:
    leaf = EventCount(awaited.event, awaited.where)
    condition = of_this_event(leaf)
    read = None if awaited.key is None else reader(awaited.key)
    return Watched(
        leaf_hash(leaf), awaited.event, compile_condition(condition), read, sentence(condition)
    )
