"""The naive model of everybody: who is whom, which runs there are, and what is told them in order.

It does one thing after the other: `apply` says what one committed transaction means. It knows no
rows, numbers of updates, generations or timers; it must share nothing with what it judges but the
formula for the ids of runs.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from math import inf
from typing import Any
from uuid import UUID

from services.orchestrator.domain.run import run_id
from tests.integration.orchestrator.journeys.units import (
    Batch,
    Happening,
    Link,
    Order,
    Outcome,
    Poll,
    Published,
    Sweep,
    Sweeps,
    Unit,
)
from tests.integration.orchestrator.journeys.walker import Name, Walker, step_aside


@dataclass
class World:
    """Where everything stands."""

    journeys: dict[str, Published]
    now: float = 0.0
    into: dict[str, str] = field(default_factory=dict)
    linked: dict[str, int] = field(default_factory=dict)
    seen: dict[str, int] = field(default_factory=dict)
    walkers: dict[UUID, Walker] = field(default_factory=dict)
    shown: dict[str, frozenset[str]] = field(default_factory=dict)
    """The segments that each person was last seen in."""
    said: dict[str, frozenset[str]] = field(default_factory=dict)
    """While links are told: those that the messages of the links show."""
    flying: set[str] = field(default_factory=set)
    """Of whom something was under way before this step: nobody else's segments are kept."""
    free: dict[str, float] = field(default_factory=dict)
    """When the next place is free in the line in which runs wait after a pause."""

    def copy(self) -> "World":
        """Another one that stands where this one does."""
        memo: dict[int, Any] = {
            id(document): document
            for journey in self.journeys.values()
            for document in journey.documents
        }
        return deepcopy(self, memo)

    def root(self, profile: str) -> str:
        """The profile that stands for the person."""
        while profile in self.into:
            profile = self.into[profile]
        return profile

    def of(self, person: str, journey: str | None = None) -> list[Walker]:
        """The runs of a person, in the order in which they were entered."""
        found = [
            one for one in self.walkers.values()
            if self.root(one.name.home) == person and journey in (None, one.name.journey)
        ]  # fmt: skip
        return sorted(found, key=lambda one: (one.entered, str(one.name.id)))

    def adopt(self, other: "World", profiles: Collection[str]) -> None:
        """Stand where another one stands, as far as it is about these profiles."""
        for own, theirs in (
            (self.into, other.into), (self.linked, other.linked), (self.seen, other.seen),
            (self.shown, other.shown),
        ):  # fmt: skip
            _take_over(own, theirs, profiles)
        self.free |= other.free
        self.walkers = {
            id_: one for id_, one in self.walkers.items() if one.name.home not in profiles
        } | {id_: one for id_, one in other.walkers.items() if one.name.home in profiles}

    def keep(self, profiles: set[str]) -> None:
        """Of these something is under way now."""
        self.flying = profiles
        self.shown = {one: said for one, said in self.shown.items() if one in profiles}

    # What happens

    def apply(self, unit: Unit) -> str | None:
        """Let it happen now; what an operator is answered."""
        match unit:
            case Batch(happenings):
                self._batch(happenings)
            case Poll():
                self._poll()
            case Sweeps(several):
                for one in several:
                    self._sweep(one)
            case Order():
                return self._order(unit)
        return None

    def _batch(self, happenings: Iterable[Happening]) -> None:
        fresh = []
        for one in happenings:
            if one.number > self.seen.get(one.profile, 0):
                self.seen[one.profile] = one.number
                fresh.append(one)
        self.said = {one.profile: one.segments for one in fresh if one.link is not None}
        self._link([one.link for one in fresh if one.link is not None])
        self.said = {}
        erased = {one.profile for one in fresh if one.erases}
        erased |= {self.root(one) for one in erased}
        self.walkers = {
            id_: one for id_, one in self.walkers.items() if self.root(one.name.home) not in erased
        }
        for one in fresh:
            if not erased & {one.profile, self.root(one.profile)}:
                self._happen(one)

    def _happen(self, one: Happening) -> None:
        person = self.root(one.profile)
        if one.profile == person or person not in self.shown:
            self.shown[person] = one.segments
        for walker in self._told(self.of(person)):
            walker.event(one.event, "1" if one.key == walker.name.key else "0", self.now)
        if one.outcome is not None:
            self._answer(person, one.outcome)
        for key, journey in sorted(self.journeys.items()):
            if journey.documents[-1]["entry"]["event"] == one.event:
                self._enter(key, journey, one, person)
        if person not in self.flying and not any(run.is_watched for run in self.of(person)):
            del self.shown[person]

    def _answer(self, person: str, said: Outcome) -> None:
        """An answer reaches the run, if it is one of the person's."""
        for walker in self._told(self.of(person)):
            if (walker.name.id, walker.step) == (said.run, said.step):
                walker.outcome(said.word, self.now)

    def _enter(self, key: str, journey: Published, one: Happening, person: str) -> None:
        document = journey.documents[-1]
        own = one.key if "key" in document["re_entry"] else ""
        id_ = run_id(key, one.cause, own)
        same = [run for run in self.of(person, key) if run.name.key == own]
        if journey.mode == "never" and same:
            return
        if journey.mode == "after_exit" and any(run.ended is None for run in same):
            return
        name = Name(id_, key, own, one.profile, person)
        walker = Walker(name, journey.documents, self.now, set())
        self.walkers[id_] = walker
        for told in self._told([walker]):
            told.begin(self.now)

    def _told(self, walkers: Iterable[Walker]) -> Iterator[Walker]:
        """Each to whom something may still happen, with the person as they are shown now."""
        for one in [one for one in walkers if one.is_watched]:
            person = self.root(one.name.home)
            segments = set(self.said.get(person, self.shown.get(person, ())))
            one.show(segments, self.journeys[one.name.journey].paused)
            yield one
            one.rest(self.now)

    def _poll(self) -> None:
        """For each run, in the order in which they are due."""
        for one in self.walkers.values():
            while (turn := min(one.turns, default=inf)) <= self.now or one.wakes <= self.now:
                if turn < one.wakes:
                    one.turns.remove(turn)
                for told in self._told([one]):
                    if turn < told.wakes:
                        told.resume(self.now)
                    else:
                        told.timer(self.now)

    # What operators do

    def publish(self, key: str, document: dict[str, Any]) -> None:
        """Another version; runs hear of it when they are told something next."""
        self.journeys[key].documents.append(document)
        for one in self.walkers.values():
            if one.name.journey == key:
                one.publish(document)

    def _sweep(self, sweep: Sweep) -> None:
        told = [
            one for _, one in sorted(self.walkers.items())
            if one.name.journey == sweep.journey and one.ended is None
        ]  # fmt: skip
        for one in told:
            if sweep.rate is not None:
                if one.held:
                    first = max(self.free.get(sweep.journey, 0.0), self.now)
                    one.turns.append(first)
                    self.free[sweep.journey] = first + sweep.rate
                continue
            for walker in self._told([one]):
                if sweep.kind == "edited":
                    walker.look()
                else:
                    walker.resume(self.now)

    def _order(self, order: Order) -> str:
        one = self.walkers[order.run]
        if one.ended is not None or one.step != order.step:
            return "conflict"
        target = order.node
        if order.verb == "retry":
            target = one.at or str(_followed(one)["nodes"][0]["id"])
        if order.verb == "move" and not _knows(one, target):
            return "refused"
        if order.verb == "skip" and one.at is None:
            return "conflict"
        if order.verb == "stop":
            one.over = "stopped"
            return "done"
        if order.verb == "pause":
            one.by_hand = True
            return "done"
        if order.verb == "resume":
            one.by_hand = False
        if order.verb in ("move", "retry") and not _knows(one, target):
            return "done"
        for walker in self._told([one]):
            match order.verb:
                case "skip":
                    walker.skip(self.now)
                case "resume":
                    walker.resume(self.now)
                case _:
                    walker.move(target, self.now)
        return "done"

    # Who people are

    def _link(self, links: Sequence[Link]) -> None:
        last: dict[str, Link] = {}
        for one in links:
            if one.profile not in last or one.number >= last[one.profile].number:
                last[one.profile] = one
        news = [one for one in last.values() if one.number > self.linked.get(one.profile, 0)]
        parted = set()
        for one in news:
            self.linked[one.profile] = one.number
            if not one.merged or self.into.get(one.profile) != one.partner:
                parted |= self._part(one.profile)
        joined = set()
        for one in news:
            is_new = one.merged and self.into.get(one.profile) != one.partner
            if is_new and self.root(one.partner) != one.profile:
                joined.add(one.profile)
                self._merge(one.profile, one.partner)
        sides = {self.root(one) for one in parted}
        for person in sides:
            self._divide(person)
        for person in {self.root(one) for one in joined} - sides:
            for key, journey in self.journeys.items():
                step_aside(journey.mode, self.of(person, key))

    def _merge(self, loser: str, partner: str) -> None:
        self.into[loser] = partner
        person = self.root(loser)
        if person not in self.shown and loser in self.shown:
            self.shown[person] = self.shown[loser]

    def _part(self, back: str) -> set[str]:
        """Both sides, if there are two."""
        if back not in self.into:
            return set()
        root = self.root(back)
        del self.into[back]
        if back not in self.shown and root in self.shown:
            self.shown[back] = self.shown[root]
        return {back, root}

    def _divide(self, person: str) -> None:
        """Runs that stood aside for one of somebody else come back."""
        for key, journey in self.journeys.items():
            own = self.of(person, key)
            here = {one.name.id for one in own}
            for one in own:
                if one.is_watched and one.frozen and one.aside_for not in here:
                    one.frozen, one.aside_for = False, None
                for whose in {*one.spared} - {str(id_) for id_ in here}:
                    del one.spared[whose]
            for walker in self._told(own):
                walker.look()
            step_aside(journey.mode, own)
            for walker in self._told(own):
                walker.resume(self.now)


def _take_over(own: dict[str, Any], theirs: dict[str, Any], profiles: Collection[str]) -> None:
    for profile in profiles:
        own.pop(profile, None)
        if profile in theirs:
            own[profile] = theirs[profile]


def _followed(one: Walker) -> dict[str, Any]:
    """The version of which a run takes its next step: the last one that it follows, or its own."""
    followed = one.documents[one.version]
    for document in one.documents[one.version + 1 :]:
        if document["version_policy"] == "follow_live":
            followed = document
    return followed


def _knows(one: Walker, node: str) -> bool:
    """Whether a run can be moved to a node."""
    nodes = _followed(one)["nodes"]
    return any(node in (each["id"], *each.get("replaces", ())) for each in nodes)
