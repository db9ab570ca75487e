"""The load of the benchmark: made-up shop traffic with fixed proportions, the same for one seed.

Of all events 15 % are a person's first, with the traits that make a snapshot of about 2 KB; 30 %
carry two identifiers; 1 % merge two profiles; 10 % are a candidate for one of 50 rules and 2 %
cause an action. Records are keyed by person, as a shop would do it.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from shared import ids

SOURCE = "bench-shop"
PEOPLE = 0.15
TWO_IDENTIFIERS = 0.30
LINKS = 0.015
"""Events that link two profiles. One in three comes before the profile it would have merged with,
because partitions are not read in step, and merges nothing: 1 % of events do."""
CANDIDATES = 0.10
ACTIONS = 0.02
RULES = 50
SEGMENTS = 20
SCORE_TO_ACT = 80
"""Signals carry a score of 0 to 99; the rules act from here on: one signal in five."""

CITIES = ("Lyon", "Paris", "Lille", "Nantes")
PAGES = ("Page Viewed", "Product Viewed", "Product Added", "Cart Viewed", "Order Completed")


@dataclass(frozen=True, slots=True)
class LoadEvent:
    """One record to publish; `action_id` when it has to cause one."""

    key: bytes
    value: bytes
    action_id: str | None


@dataclass(frozen=True, slots=True)
class _Slot:
    person: int
    kind: str


def rule_key(number: int) -> str:
    """Key of the rule that listens to `signal_type(number)`."""
    return f"bench-{number:02d}"


def signal_type(number: int) -> str:
    """The event type that is a candidate for exactly one rule."""
    return f"Signal {number:02d}"


def make_load(count: int, *, seed: int, run: str, now: datetime) -> Iterator[LoadEvent]:
    """`count` events, in the order to publish them.

    `run` keeps ids and people of several loads in one stack apart. `now` becomes `occurred_at`.
    """
    draw = random.Random(seed)  # noqa: S311 - a made-up load, not a secret
    moment = now.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    for number, slot in enumerate(_order(count, draw)):
        yield _event(slot, f"{run}-{number}", run, moment, draw)


def _order(count: int, draw: random.Random) -> list[_Slot]:
    """Who does what when: the first event of a person comes first, a link in the second half."""
    people, merging = round(count * PEOPLE), round(count * LINKS)
    slots = [_Slot(person, "first") for person in range(people)]
    slots += [_Slot(person, "link") for person in range(merging)]
    slots += [_Slot(person, "anonymous") for person in range(merging)]
    rest = count - len(slots)
    slots += [_Slot(draw.randrange(people), "track") for _ in range(rest)]
    places = {"first": (0.0, 0.5), "anonymous": (0.0, 0.5), "link": (0.7, 1.0), "track": (0.0, 1.0)}
    placed = [(draw.uniform(*places[slot.kind]), slot) for slot in slots]
    placed.sort(key=lambda item: item[0])
    return _firsts_first([slot for _, slot in placed])


def _firsts_first(slots: list[_Slot]) -> list[_Slot]:
    """Swap a person's earliest event of their own with their first one."""
    earliest: dict[int, int] = {}
    for place, slot in enumerate(slots):
        if slot.kind == "track":
            earliest.setdefault(slot.person, place)
        elif slot.kind == "first":
            before = earliest.get(slot.person)
            if before is not None:
                slots[before], slots[place] = slots[place], slots[before]
    return slots


def _event(slot: _Slot, id_: str, run: str, moment: str, draw: random.Random) -> LoadEvent:
    user = {"type": "user_id", "value": f"{run}-u{slot.person}"}
    email = {"type": "email", "value": f"{run}-u{slot.person}@example.org"}
    anonymous = {"type": "anonymous_id", "value": f"{run}-a{slot.person}"}
    body: dict[str, Any] = {"id": id_, "source": SOURCE, "occurred_at": moment}
    action_id = None
    if slot.kind == "first":
        body |= {"kind": "identify", "type": "identify", "identifiers": [user, email]}
        body["traits"] = _traits(slot.person, draw)
    elif slot.kind == "anonymous":
        body |= {"type": "Page Viewed", "identifiers": [anonymous], "properties": _page(draw)}
    elif slot.kind == "link":
        body |= {"type": "Signed In", "identifiers": [user, anonymous], "properties": _page(draw)}
    else:
        second = (TWO_IDENTIFIERS - PEOPLE - LINKS) / (1 - PEOPLE - 2 * LINKS)
        body["identifiers"] = [user, email] if draw.random() < second else [user]
        body["properties"] = _page(draw)
        if draw.random() < CANDIDATES / (1 - PEOPLE - 2 * LINKS):
            rule, score = draw.randrange(RULES), draw.randrange(100)
            body["type"] = signal_type(rule)
            body["properties"]["score"] = score
            if score >= SCORE_TO_ACT:
                touchpoint = ids.touchpoint_id(SOURCE, id_)
                action_id = str(ids.action_id(rule_key(rule), str(touchpoint), "0"))
        else:
            body["type"] = draw.choice(PAGES)
    return LoadEvent(b"%d" % slot.person, orjson.dumps(body), action_id)


def _page(draw: random.Random) -> dict[str, Any]:
    product = draw.randrange(10_000)
    return {
        "url": f"https://shop.example.org/p/{product}",
        "product_id": f"sku-{product:05d}",
        "total": draw.randrange(100, 20_000) / 100,
        "currency": "EUR",
    }


def _traits(person: int, draw: random.Random) -> dict[str, Any]:
    """About 1.5 KB of facts, so that the snapshot comes to about 2 KB."""
    traits: dict[str, Any] = {
        "first_name": f"First{person}",
        "last_name": f"Last{person}",
        "street": f"{person} Example Street",
        "city": draw.choice(CITIES),
        "postal_code": f"{draw.randrange(100_000):05d}",
        "country": "FR",
        "locale": "fr-FR",
        "timezone": "Europe/Paris",
    }
    for number in range(24):
        traits[f"preference_{number:02d}"] = f"{draw.getrandbits(128):032x}"
    return traits
