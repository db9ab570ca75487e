"""Who is who: identities of a sequence of events, by priority and veto, with dictionaries only.

The published rule: the profiles that know any identifier of the event are its candidates; while
their union with the event would break a rule (two `user_id` on one profile), the event's
lowest-priority identifier is demoted; none left: create, one: attach, many: merge.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.oracle.records import Event, Identifier, NotCoveredError

PRIORITY = {"user_id": 1, "anonymous_id": 100, "device_id": 100}
DEFAULT_PRIORITY = 5
VETO = "user_id"
LIMITS = {"anonymous_id": 100, "device_id": 100}
DEFAULT_LIMIT = 5


@dataclass(slots=True)
class Person:
    """One unified person: what points at it and what happened to it."""

    number: int
    identifiers: set[Identifier] = field(default_factory=set)
    events: list[Event] = field(default_factory=list)
    absorbed: int = 0


@dataclass(slots=True)
class Identities:
    """The persons of a sequence of events.

    `contested` are identifiers that were demoted at least once, each with the strongest
    identifiers it was seen beside: one of their persons holds it, and which one depends on the
    order between partitions, which nothing defines. `nobody` are events that name no one.
    """

    persons: list[Person]
    contested: dict[Identifier, set[Identifier]]
    nobody: list[Event]
    merges: int


def resolve(events: Iterable[Event]) -> Identities:
    """Apply the rule in the order given. Raises NotCoveredError when a limit is hit."""
    return _Resolver().run(events)


def strength(identifier: Identifier) -> tuple[int, str, str]:
    """Sort key: the strongest identifier first."""
    priority = PRIORITY.get(identifier.type, DEFAULT_PRIORITY)
    return priority, identifier.type, identifier.value


class _Resolver:
    def __init__(self) -> None:
        self.persons: dict[int, Person] = {}
        self.holder: dict[Identifier, int] = {}
        self.demoted: set[Identifier] = set()
        self.nobody: list[Event] = []
        self.merges = 0
        self.created = 0

    def run(self, events: Iterable[Event]) -> Identities:
        for event in events:
            self._apply(event)
        return Identities(list(self.persons.values()), self._claims(), self.nobody, self.merges)

    def _apply(self, event: Event) -> None:
        usable = sorted(set(event.identifiers), key=strength)
        if not usable:
            self.nobody.append(event)
            return
        while self._users_after(usable) > 1:
            self.demoted.add(usable.pop())
            if not usable:
                raise NotCoveredError(f"event {event.id} has nothing left after demotion")
        person = self._united(usable)
        for one in usable:
            person.identifiers.add(one)
            self.holder[one] = person.number
        person.events.append(event)
        _check_limits(person)

    def _users_after(self, usable: list[Identifier]) -> int:
        """How many different veto values the union of the event and its candidates holds."""
        union = set(usable)
        for one in usable:
            if one in self.holder:
                union |= self.persons[self.holder[one]].identifiers
        return sum(1 for one in union if one.type == VETO)

    def _united(self, usable: list[Identifier]) -> Person:
        numbers = sorted({self.holder[one] for one in usable if one in self.holder})
        if not numbers:
            self.created += 1
            person = self.persons[self.created] = Person(self.created)
            return person
        winner = self.persons[numbers[0]]
        for number in numbers[1:]:
            loser = self.persons.pop(number)
            winner.identifiers |= loser.identifiers
            winner.events += loser.events
            winner.absorbed += 1 + loser.absorbed
            self.merges += 1
            for one in loser.identifiers:
                self.holder[one] = winner.number
        return winner

    def _claims(self) -> dict[Identifier, set[Identifier]]:
        claims: dict[Identifier, set[Identifier]] = {one: set() for one in self.demoted}
        for person in self.persons.values():
            for event in person.events:
                strongest = min(event.identifiers, key=strength)
                if strongest in self.demoted:
                    raise NotCoveredError(f"only contested identifiers in event {event.id}")
                for one in self.demoted.intersection(event.identifiers):
                    claims[one].add(strongest)
        return claims


def _check_limits(person: Person) -> None:
    for type_, count in Counter(one.type for one in person.identifiers).items():
        if count > LIMITS.get(type_, DEFAULT_LIMIT):
            raise NotCoveredError(f"{count} identifiers of type {type_} on one person")
