"""A small world for laws: people, a clock, tables and timers, driven through the real decisions.

It stands in for storage, worker and poller: what a decision changes is kept in tables, and whatever
is decided next reads them again, or goes on with the history in memory as later updates of a batch
do. Everything that is published is told to whoever listens.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from services.orchestrator.domain.answer import answer
from services.orchestrator.domain.effects import RELEASE, Change, Effects
from services.orchestrator.domain.exit import for_action
from services.orchestrator.domain.gates import Situation
from services.orchestrator.domain.history import Contact, History, Households, InFlight, Outcome
from services.orchestrator.domain.release import close, release
from services.orchestrator.domain.timer import Timer
from services.orchestrator.domain.trigger_index import RuleSet
from services.orchestrator.domain.update import Moment, read_moment
from services.orchestrator.domain.update import routed_decoder as routed
from services.orchestrator.use_cases.naming import action_ids
from tests.unit.orchestrator.build import profile_json, touchpoint_json, uid, update_json

MINUTE = timedelta(minutes=1)


@dataclass
class Person:
    """A profile as it is now; `into` is the one it was merged into."""

    id: str
    household: str | None
    timezone: str | None = None
    country: str | None = None
    consents: dict[tuple[str, str], str] = field(default_factory=dict)
    into: "Person | None" = None
    moment: Moment | None = None

    @property
    def root(self) -> "Person":
        return self if self.into is None else self.into.root


@dataclass(frozen=True)
class Published:
    """A contact that was made, or is reserved for later, and for whom."""

    contact: Contact
    person: Person
    at: datetime


@dataclass
class Row:
    """An action and its line in the ledger."""

    person: Person
    contact: Contact
    body: bytes
    flight: InFlight | None
    status: str


class World:
    """`told` hears of each contact when it is reserved for later, and when it is made, before
    anything else happens."""

    def __init__(
        self, rules: RuleSet, people: list[Person], now: datetime,
        told: Callable[["World", Published], None],
    ) -> None:  # fmt: skip
        self.rules = rules
        self.people = people
        self.now = now
        self.rows: dict[UUID, Row] = {}
        self.timers: list[Timer] = []
        self.outcomes: list[tuple[Person, Outcome]] = []
        self.made: list[Published] = []
        self.entries: dict[tuple[str, str, str], datetime] = {}
        self.exits: dict[tuple[str, str], datetime] = {}
        self._told = told
        self._number = 0
        self._memory: dict[str, History] = {}

    def happens(self, who: int, event: str) -> None:
        """Somebody does something."""
        person = self.people[who].root
        self._number += 1
        name = f"touchpoint-{self._number}"
        self._respond(person, touchpoint_json(name, event, at=self.now, received=self.now), name)

    def consent(self, who: int, purpose: str, channel: str, status: str) -> None:
        """Somebody agrees to something or refuses it."""
        person = self.people[who].root
        person.consents[(purpose, channel)] = status
        self._respond(person, {"kind": "consent_changed", "type": "consent_changed"}, None)

    def moves(self, who: int, timezone: str | None, country: str | None) -> None:
        """Somebody lives elsewhere, or nobody knows where any more."""
        person = self.people[who].root
        person.timezone, person.country = timezone, country
        self._respond(person, {"kind": "trait_changed"}, None)

    def merge(self, one: int, other: int) -> None:
        """Two profiles turn out to be one person; the older one stays, the stricter word holds."""
        winner, loser = sorted((self.people[one].root, self.people[other].root), key=_age)
        if winner is loser:
            return
        self.forget()
        loser.into = winner
        for about, status in loser.consents.items():
            if status == "denied" or about not in winner.consents:
                winner.consents[about] = status
        for row in self.rows.values():
            row.person = row.person.root
        for (profile, rule, key), at in list(self.entries.items()):
            if profile == loser.id:
                place = (winner.id, rule, key)
                self.entries[place] = max(at, self.entries.get(place, at))
        for (profile, criterion), at in list(self.exits.items()):
            if profile == loser.id:
                known = self.exits.get((winner.id, criterion), at)
                self.exits[(winner.id, criterion)] = max(at, known)
        self._respond(winner, {"kind": "merged"}, None)

    def reports(self, which: int, outcome: str) -> None:
        """A channel says what became of something that it was given."""
        if self.made:
            row = self.made[which % len(self.made)]
            one = row.contact
            told = Outcome(
                one.action_id, outcome, self.now, one.channel, one.category, one.topic, one.group,
                one.rule,
            )  # fmt: skip
            self.outcomes.append((row.person, told))
            if row.person.root.id in self._memory:
                self._memory[row.person.root.id].outcomes.append(told)

    def waits(self, minutes: int, lateness: int) -> None:
        """Time goes by; timers fire on the way, each so many minutes too late."""
        until = self.now + MINUTE * minutes
        while due := sorted(
            (one for one in self.timers if one.due_at + MINUTE * lateness <= until),
            key=lambda one: (one.due_at, str(one.ref)),
        ):
            timer = due[0]
            self.timers.remove(timer)
            self.now = max(self.now, timer.due_at + MINUTE * lateness)
            self._fire(timer)
        self.now = until

    def publishes(self, rules: RuleSet) -> None:
        """Another configuration is in force."""
        self.forget()
        self.rules = rules

    def forget(self) -> None:
        """The batch ends: what comes next reads the tables, which say what was in memory."""
        for profile_id, history in self._memory.items():
            read = self._read(profile_id)
            assert _by_id(history.contacts) == _by_id(read.contacts)
            assert history.in_flight == read.in_flight
            assert history.outcomes == read.outcomes
        self._memory = {}

    def _history(self, profile_id: str) -> History:
        if profile_id not in self._memory:
            self._memory[profile_id] = self._read(profile_id)
            households = self._households()
            for history in self._memory.values():
                history.households = households
        return self._memory[profile_id]

    def _read(self, profile_id: str) -> History:
        rows = [row for row in self.rows.values() if row.person.id == profile_id]
        return History(
            contacts=[row.contact for row in rows if row.status != "released"],
            entries={place[1:]: at for place, at in self.entries.items() if place[0] == profile_id},
            exits={place[1]: at for place, at in self.exits.items() if place[0] == profile_id},
            in_flight={row.contact.action_id: row.flight for row in rows if row.flight is not None},
            acted=set(self.rows),
            outcomes=[told for person, told in self.outcomes if person.root.id == profile_id],
            households=self._households(),
        )

    def _households(self) -> Households:
        found: Households = {one.household: {} for one in self.people if one.household is not None}
        for row in self.rows.values():
            if row.contact.household is not None and row.status != "released":
                found[row.contact.household][row.contact.action_id] = row.contact
        return found

    def _moment(self, person: Person, cause: dict[str, Any]) -> Moment:
        traits = {"country": person.country, "first_name": "Ada", "phone": "+331"}
        profile = profile_json(
            person.id,
            timezone=person.timezone,
            household=person.household,
            traits={name: value for name, value in traits.items() if value is not None},
            consents=[
                {"purpose": purpose, "channel": channel, "status": status, "at": "2026-01-01"}
                for (purpose, channel), status in sorted(person.consents.items())
            ],
        )
        value = update_json(person.id, 1, cause, profile=profile)
        return read_moment(value, routed.decode(value), person.id, self.now)

    def _respond(self, person: Person, cause: dict[str, Any], name: str | None) -> None:
        moment = person.moment = self._moment(person, cause)
        history, effects = self._history(person.id), Effects()
        touchpoint = uid(name) if name else ""
        candidates = self.rules.candidates(moment.facts) if name else []
        self._number += 1
        answer(
            Situation(moment, history, self.now, action_ids(touchpoint)),
            candidates,
            ruleset=self.rules,
            decision_id=UUID(uid(f"decision-{self._number}")),
            effects=effects,
            action_ids=action_ids,
        )
        self._write(person, history, effects)

    def _fire(self, timer: Timer) -> None:
        row = self.rows[timer.ref]
        person = row.person
        history, effects = self._history(person.id), Effects()
        action = history.in_flight.get(timer.ref)
        if action is None or action.gen != timer.gen:
            return
        assert person.moment is not None
        moment = for_action(action, person.moment, self.now)
        situation = Situation(moment, history, self.now, action_ids(""))
        if timer.kind == RELEASE:
            self._number += 1
            release(
                action, row.body, situation, ruleset=self.rules,
                decision_id=UUID(uid(f"decision-{self._number}")), effects=effects,
            )  # fmt: skip
        else:
            close(action, situation, effects)
        self._write(person, history, effects)

    def _write(self, person: Person, history: History, effects: Effects) -> None:
        """In the order of the statements of the storage."""
        new = []
        for action in effects.actions:
            contact = action.planned.contact
            status = "made" if action.status == "published" else "reserved"
            flight = history.in_flight.get(contact.action_id) if action.in_flight else None
            self.rows[contact.action_id] = Row(person, contact, action.body, flight, status)
            if action.status == "published":
                new.append(contact.action_id)
        for action_id, change in effects.changes.items():
            self._change(action_id, change, history)
        for action_id, at in (effects.made | effects.moved).items():
            row = self.rows[action_id]
            row.contact = replace(row.contact, at=at)
        for action_id in effects.made:
            self.rows[action_id].status = "made"
            new.append(action_id)
        for action_id in effects.released:
            self.rows[action_id].status = "released"
        for (profile, rule, key), (at, _) in effects.entries.items():
            self.entries[(profile, rule, key)] = at
        for (profile, criterion), (at, _) in effects.exits.items():
            self.exits[(profile, criterion)] = max(at, self.exits.get((profile, criterion), at))
        self.timers += effects.timers
        for action_id in new:
            if self.rows[action_id].status != "released":
                one = Published(self.rows[action_id].contact, person, self.now)
                self._told(self, one)
                self.made.append(one)
        for action_id in (*(one.planned.action_id for one in effects.actions), *effects.moved):
            if self.rows[action_id].status == "reserved":
                contact = self.rows[action_id].contact
                self._told(self, Published(contact, person, contact.at))

    def _change(self, action_id: UUID, change: Change, history: History) -> None:
        row = self.rows[action_id]
        row.flight = history.in_flight.get(action_id) if change.in_flight else None
        row.body = change.body or row.body


def _age(person: Person) -> str:
    return person.id


def _by_id(contacts: list[Contact]) -> dict[UUID, Contact]:
    return {one.action_id: one for one in contacts}
