"""A made-up world of customers on five channels, in which identity goes wrong in every known way.

Seeded: the same seed gives the same touchpoints. Each says whose it is, so that what identity
makes of them can be judged, or None where nothing in it can tell: a stranger at a kiosk, or what
names no more than a mailbox of two people.
"""

import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.unit.profile.world import touchpoint

Value = tuple[str, str]
CHANNELS = ("web", "app", "email", "pos", "call_centre")


@dataclass(slots=True)
class Customer:
    """One real person and the identifiers that are really theirs."""

    number: int
    user_id: str | None
    email: str | None
    phone: str | None
    card: str | None
    browsers: list[str] = field(default_factory=list)
    device: str | None = None


@dataclass(frozen=True, slots=True)
class Rates:
    """How often things go wrong: the first two of people, the others of touchpoints.

    `known` of the people have an account. Where two people share a mailbox, a telephone or a
    browser and not both have logged in with it, nothing tells them apart: deterministic rules take
    them for one, and precision falls by about as much. What it is at other rates is in
    docs/identity.md (`python -m tests.unit.profile.world_figures`).
    """

    shared_mailbox: float = 0.0002
    recycled_phone: float = 0.0002
    stranger_at_kiosk: float = 0.02
    login_at_kiosk: float = 0.02
    foreign_browser: float = 0.0001
    trunk_number: float = 0.005
    till_default: float = 0.015
    known: float = 0.8


@dataclass(frozen=True, slots=True)
class Happening:
    """A touchpoint and the person who did it."""

    body: Mapping[str, Any]
    who: int | None


@dataclass(slots=True)
class People:
    """The world. `make` is called once; the touchpoints come in the order of their arrival."""

    count: int
    seed: int
    rates: Rates = field(default_factory=Rates)
    chance: random.Random = field(init=False)
    customers: list[Customer] = field(init=False)
    of_two: set[str] = field(init=False, default_factory=set)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        self.customers = [self._customer(number) for number in range(self.count)]
        for customer in self.customers:
            other = self.customers[self.chance.randrange(self.count)]
            if self.chance.random() < self.rates.shared_mailbox and customer.email is not None:
                other.email = customer.email
                self.of_two.add(customer.email)
            if self.chance.random() < self.rates.recycled_phone and customer.phone is not None:
                other.phone = customer.phone
                self.of_two.add(customer.phone)

    def _customer(self, number: int) -> Customer:
        chance = self.chance
        return Customer(
            number,
            f"u{number}" if chance.random() < self.rates.known else None,
            f"person{number}@mail.example" if chance.random() < 0.8 else None,
            f"+336{number:08d}" if chance.random() < 0.6 else None,
            f"card-{number}" if chance.random() < 0.4 else None,
            [f"b{number}-{n}" for n in range(chance.randint(1, 3))],
            f"d{number}" if chance.random() < 0.5 else None,
        )

    def happenings(self) -> list[Happening]:
        """Everything that happened, as it arrives: within a person roughly in order."""
        made: list[tuple[float, Happening]] = []
        number = 0
        for customer in self.customers:
            start = self.chance.random()
            for step in range(self.chance.randint(2, 7)):
                named, who = self._step(customer)
                if named:
                    at = start + step * 0.01 + self.chance.random() * 0.02
                    made.append((at, Happening(self._body(number, named), who)))
                    number += 1
        made.sort(key=lambda one: one[0])
        return [one for _, one in made]

    def _body(self, number: int, named: list[tuple[str, str]]) -> Mapping[str, Any]:
        day, second = number % 28 + 1, number % 60
        at = (
            f"2026-10-{day:02d}T{number // 60 % 24:02d}:{number // 1440 % 60:02d}:{second:02d}.000Z"
        )
        return touchpoint(
            number, *named, channel=CHANNELS[number % 5], occurred_at=at, received_at=at
        )

    def _step(self, customer: Customer) -> tuple[list[tuple[str, str]], int | None]:
        """One touchpoint: usually one's own identifiers, sometimes a failure mode."""
        chance, rates = self.chance, self.rates
        kiosk = f"kiosk-{chance.randrange(40)}"
        if chance.random() < rates.stranger_at_kiosk:
            return [("device_id", kiosk)], None
        if customer.user_id is not None:
            login = ("user_id", customer.user_id)
            if chance.random() < rates.login_at_kiosk:
                return [login, ("device_id", kiosk)], customer.number
            if chance.random() < rates.foreign_browser:  # its owner did not log out
                other = self.customers[chance.randrange(self.count)]
                return [login, ("anonymous_id", other.browsers[0])], customer.number
            if chance.random() < rates.trunk_number:  # the call centre's own line
                return [login, ("phone", f"+3315555000{chance.randrange(5)}")], customer.number
        if customer.card is not None and chance.random() < rates.till_default:
            junk = chance.choice([("phone", "0000000000"), ("email", "noreply@shop.example")])
            return [("loyalty_id", customer.card), junk], customer.number
        named = self._own(customer)
        told = any(value not in self.of_two for _, value in named)
        return named, customer.number if told else None

    def _own(self, customer: Customer) -> list[tuple[str, str]]:
        chance = self.chance
        weak = [("anonymous_id", one) for one in customer.browsers]
        if customer.device:
            weak.append(("device_id", customer.device))
        strong = [
            (type_, value)
            for type_, value in (
                ("user_id", customer.user_id),
                ("email", customer.email),
                ("phone", customer.phone),
                ("loyalty_id", customer.card),
            )
            if value is not None
        ]
        fate = chance.random()
        if fate < 0.3 or not strong:
            return [chance.choice(weak)]
        if fate < 0.6:
            return [chance.choice(strong), chance.choice(weak)]
        return chance.sample(strong, k=min(2, len(strong)))


@dataclass(frozen=True, slots=True)
class Placed:
    """A touchpoint of a known person and where it ended; `island` are those of the person's
    touchpoints that are connected with it by identifiers nobody else was seen with."""

    who: int
    island: int
    profile: str


@dataclass(frozen=True, slots=True)
class Quality:
    """How well touchpoints were put together, over all pairs of them of known people.

    `recall` is of all pairs of one person, `of_connected` of those that are on one island: the
    others have nothing in common that could be seen.
    """

    precision: float
    recall: float
    of_connected: float


def quality(placed: Iterable[Placed]) -> Quality:
    """Precision and recall, of what is where now."""
    found = list(placed)
    together = Counter((one.who, one.profile) for one in found)
    right = _pairs(together)
    connected = Counter((one.who, one.island, one.profile) for one in found)
    return Quality(
        right / _pairs(Counter(one.profile for one in found)),
        right / _pairs(Counter(one.who for one in found)),
        _pairs(connected) / _pairs(Counter((one.who, one.island) for one in found)),
    )


def islands(happenings: Sequence[Happening]) -> list[int]:
    """For each touchpoint the first one that identifiers of one person alone connect it with."""
    users: dict[Value, set[int | None]] = {}
    for one in happenings:
        for value in _values(one):
            users.setdefault(value, set()).add(one.who)
    leads = list(range(len(happenings)))

    def root(place: int) -> int:
        while leads[place] != place:
            leads[place] = leads[leads[place]]
            place = leads[place]
        return place

    first: dict[Value, int] = {}
    for place, one in enumerate(happenings):
        for value in _values(one):
            if len(users[value]) == 1:
                ours, theirs = root(place), root(first.setdefault(value, place))
                leads[max(ours, theirs)] = min(ours, theirs)
    return [root(place) for place in range(len(happenings))]


def _values(one: Happening) -> list[Value]:
    return [(named["type"], named["value"]) for named in one.body["identifiers"]]


def _pairs(counts: Counter[Any]) -> int:
    return sum(count * (count - 1) // 2 for count in counts.values())
