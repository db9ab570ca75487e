"""The flow of events the chaos tests feed in: every kind of case, in random order and places.

People with several identifiers that meet only later, two people who share an e-mail address,
orders, traits, what triggers rules, what is too old or historical to trigger any, exact copies,
records that name nobody and bytes that are no event. All from one seed.
"""

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from shared.contracts.topics import Topics
from tests.oracle.actions import SimpleRule
from tests.support.kafka import Message

CHANNELS = ("web", "pos", "app")
PLAIN = SimpleRule("plain", "Cart Abandoned", "total", "gte", 50)
DELAYED = SimpleRule("delayed", "Support Asked", "urgency", "gte", 5)
CAPPED = SimpleRule("capped", "Offer Seen", "rank", "lt", 8, cap=2)
RULES = (PLAIN, DELAYED, CAPPED)
DELAY = "PT1S"
CAP_WINDOW = "P7D"

GARBAGE: tuple[bytes | None, ...] = (
    None,
    b"",
    b"no json",
    b"\xff\xfe\x00",
    b'{"id": "x", "source": "till", "type": "T", "total": NaN}',
    b'["a", "list"]',
    b'{"id":"x","source":"till","type":"T","occurred_at":"2026-01-01T00:00:00Z","a":"\\u0000"}',
    b'{"id":"x","source":"till","type":7,"occurred_at":"2026-01-01T00:00:00Z"}',
    b'{"id":"x","source":"till","type":"T","occurred_at":"never"}',
    b"[" * 10_000,
)


@dataclass(slots=True)
class Flow:
    """An endless supply of messages; `now` is asked for each event's time."""

    topics: Topics
    seed: int
    now: Callable[[], datetime]
    people: int = 60
    families: int = 5
    loners: int = 20
    made: int = 0
    sent: list[Message] = field(default_factory=list)
    draw: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.draw = random.Random(self.seed)

    def next(self, count: int) -> list[Message]:
        """The next messages, to be published in this order."""
        messages = [self._message() for _ in range(count)]
        self.sent += messages
        return messages

    def _message(self) -> Message:
        chance = self.draw.random()
        if chance < 0.02:
            return self._placed(self.draw.choice(GARBAGE))
        if chance < 0.08 and self.sent:
            return self._placed(self.draw.choice(self.sent).value)
        self.made += 1
        return self._placed(json.dumps(self._event(f"e{self.seed}-{self.made}")).encode())

    def _placed(self, value: bytes | None) -> Message:
        topic = self.topics.channel(self.draw.choice(CHANNELS))
        return Message(topic, value, key=b"%08x" % self.draw.getrandbits(32))

    def _event(self, id_: str) -> dict[str, Any]:
        age = timedelta(milliseconds=self.draw.randrange(3_600_000))
        body: dict[str, Any] = {"id": id_, "source": self.draw.choice(("shop", "till", "desk"))}
        chance = self.draw.random()
        if chance < 0.03:
            age += timedelta(days=3)
        elif chance < 0.05:
            body["historical"] = True
        moment = (self.now() - age).astimezone(UTC)
        body["occurred_at"] = moment.isoformat(timespec="milliseconds")
        return body | self._content()

    def _content(self) -> dict[str, Any]:
        chance = self.draw.random()
        if chance < 0.02:
            return {"type": "Page Viewed", "identifiers": []}
        if chance < 0.12:
            loner = _identifier("user_id", f"loner-{self.draw.randrange(self.loners)}")
            offer = {"rank": self.draw.randrange(10)}
            return {"type": CAPPED.event_type, "identifiers": [loner], "properties": offer}
        if chance < 0.16:
            family = self.draw.randrange(self.families)
            user = _identifier("user_id", f"family-{family}-{self.draw.randrange(2)}")
            shared = _identifier("email", f"family-{family}@example.org")
            return {"type": "Page Viewed", "identifiers": [user, shared]}
        return {"identifiers": self._someone()} | self._deed()

    def _someone(self) -> list[dict[str, str]]:
        """Between one and three of a person's identifiers; only some people have them all."""
        person = self.draw.randrange(self.people)
        known = [
            _identifier("user_id", f"user-{person}"),
            _identifier("email", f"User-{person}@Example.org"),
            _identifier("phone", f"+336{person:08d}"),
            _identifier("loyalty_id", f"card-{person}"),
            *(_identifier("anonymous_id", f"cookie-{person}-{n}") for n in range(3)),
        ]
        return self.draw.sample(known, self.draw.choice((1, 1, 1, 1, 2, 2, 3)))

    def _deed(self) -> dict[str, Any]:
        chance = self.draw.random()
        if chance < 0.25:
            total = f"{self.draw.randrange(1, 100_000) / 100:.2f}"
            kind = self.draw.choice(("Order Completed", "POS Order Completed"))
            currency = self.draw.choice(("EUR", "USD"))
            return {"type": kind, "properties": {"total": total, "currency": currency}}
        if chance < 0.45:
            names = self.draw.sample(("first_name", "city", "size", "favourite"), 2)
            traits = {name: f"{name}-{self.draw.randrange(50)}" for name in names}
            return {"type": "identify", "kind": "identify", "traits": traits}
        if chance < 0.60:
            return {"type": PLAIN.event_type, "properties": {"total": self.draw.randrange(100)}}
        if chance < 0.70:
            urgency = {"urgency": self.draw.randrange(10)}
            return {"type": DELAYED.event_type, "properties": urgency}
        return {"type": "Page Viewed", "properties": {"url": f"/p/{self.draw.randrange(999)}"}}


def _identifier(type_: str, value: str) -> dict[str, str]:
    return {"type": type_, "value": value}
