"""What a profile must say: counters, revenue, orders and traits, from the events of a person."""

from collections import defaultdict
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from tests.oracle.identity import Identities, Person
from tests.oracle.records import Event, Identifier, NotCoveredError

ORDER_TYPES = ("Order Completed", "POS Order Completed")


@dataclass(frozen=True, slots=True)
class ExpectedProfile:
    """A person as the profile service must show it. `identifiers` are without contested ones."""

    identifiers: frozenset[Identifier]
    touchpoints: int
    orders: int
    revenue: Mapping[str, Decimal]
    first_seen_at: datetime
    last_seen_at: datetime
    traits: Mapping[str, Any]


def expected_profiles(identities: Identities) -> dict[frozenset[Identifier], ExpectedProfile]:
    """Every profile that must exist, by the identifiers that nobody else ever claimed."""
    profiles = {}
    for person in identities.persons:
        profile = expected_profile(person, identities.contested)
        if not profile.identifiers:
            raise NotCoveredError(f"person {person.number} holds contested identifiers only")
        profiles[profile.identifiers] = profile
    return profiles


def expected_profile(person: Person, contested: Container[Identifier]) -> ExpectedProfile:
    """One person's profile; the events' order plays no part."""
    times = [event.occurred_at for event in person.events]
    orders = [event for event in person.events if event.type in ORDER_TYPES]
    return ExpectedProfile(
        identifiers=frozenset(one for one in person.identifiers if one not in contested),
        touchpoints=len(person.events),
        orders=len(orders),
        revenue=_revenue(orders),
        first_seen_at=min(times),
        last_seen_at=max(times),
        traits=_traits(person.events),
    )


def _revenue(orders: Iterable[Event]) -> dict[str, Decimal]:
    sums: dict[str, Decimal] = defaultdict(Decimal)
    for order in orders:
        properties = order.properties
        if "total" in properties:
            sums[str(properties["currency"])] += Decimal(str(properties["total"]))
    return dict(sums)


def _traits(events: Iterable[Event]) -> dict[str, Any]:
    """The most recent value of each trait; a tie goes to the greater (source, touchpoint id)."""
    best: dict[str, tuple[datetime, str, str]] = {}
    values: dict[str, Any] = {}
    for event in events:
        rank = (event.occurred_at, event.source, event.id)
        for name, value in event.traits.items():
            if value is None:
                raise NotCoveredError("a trait set to null")
            if name not in best or rank > best[name]:
                best[name], values[name] = rank, value
    return values
