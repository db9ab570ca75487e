"""What becomes of customers in the twelve-node journey, walked one by one on paper.

Written from the journey's document and the documentation alone: it shares no code with the engine.
Time stands still within a step of the play, so a wait of days ends at the first step behind it.
"""

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from zoneinfo import ZoneInfo

ZONES = ("Europe/Paris", "America/New_York", "Asia/Tokyo")
ANSWERED = ("welcome", "invite", "call")
SALT = "half-2026"

Count = tuple[str, str, str]
"""A node (empty: the whole journey), what is counted, and the word for it."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a customer is, and does at which steps of the play. `answers` says for each node that
    asks them something how many steps later they answer, and what."""

    number: int
    zone: str
    gold: bool
    does: Mapping[int, str]
    answers: Mapping[str, tuple[int, str]]

    @property
    def user_id(self) -> str:
        """The name of the customer in the shop."""
        return f"c-{self.number:06d}"


def plan(number: int, steps: int) -> Plan:
    """Customer `number`, always the same, in a play of so many steps."""
    chance = random.Random(number)  # noqa: S311 - a load, no secret
    begins = chance.randrange(0, max(1, steps // 4))
    later = chance.sample(range(begins + 1, steps), 3)
    maybe = (
        (0.5, later[0], "Store Visited"),
        (0.25, later[1], "Order Completed"),
        (0.15, later[2], "Account Closed"),
    )
    does = {begins: "Signed Up"}
    does |= {step: event for share, step, event in maybe if chance.random() < share}
    answers = {}
    for node, words in (
        ("welcome", ("clicked",)),
        ("invite", ("accepted", "declined")),
        ("call", ("accepted", "declined")),
    ):
        if chance.random() < 0.6:
            answers[node] = (chance.randint(1, 3), chance.choice(words))
    return Plan(number, chance.choice(ZONES), chance.random() < 0.3, does, answers)


@dataclass(slots=True)
class Paper:
    """One customer's way on paper."""

    plan: Plan
    profile_id: str
    totals: Counter[Count]
    at: str | None = None
    ends: datetime | None = None
    entered: datetime | None = None
    over: bool = False
    won: bool = False
    touched: str = ""
    pending: dict[int, list[tuple[str, str]]] = field(default_factory=dict)

    def walk(self, instants: Sequence[datetime]) -> None:
        """Through all steps: first what time ends, then answers, then what the customer does."""
        for step, now in enumerate(instants):
            while self.at is not None and self.ends is not None and self.ends <= now:
                self._time_is_over(step, now)
            for node, said in self.pending.pop(step, ()):
                self._answered(node, said, step, now)
            event = self.plan.does.get(step)
            if event is not None:
                self._did(event, step, now)

    def _time_is_over(self, step: int, now: datetime) -> None:
        behind = {
            "welcome": "morning", "invite": "morning", "visit": "call", "morning": "half",
            "pause": "call", "call": "end", "rest": "end",
        }  # fmt: skip
        self._go(behind[self.at or ""], step, now)

    def _answered(self, node: str, said: str, step: int, now: datetime) -> None:
        if self.at != node:
            return  # they went on without it
        self.totals[(node, "answered", said)] += 1
        behind = {
            ("welcome", "clicked"): "tier",
            ("invite", "accepted"): "visit",
            ("invite", "declined"): "morning",
            ("call", "accepted"): "thanks",
            ("call", "declined"): "end",
        }
        self._go(behind[(node, said)], step, now)

    def _did(self, event: str, step: int, now: datetime) -> None:
        if event == "Signed Up":
            self.entered = now
            self.totals[("", "entered", "")] += 1
            self._go("welcome", step, now)
        elif event == "Order Completed":
            self._bought(now)
        elif event == "Account Closed" and self.at is not None:
            self._end("exit: Account Closed on web")
        elif event == "Store Visited" and self.at == "visit":
            self._go("thanks", step, now)

    def _bought(self, now: datetime) -> None:
        if self.entered is None or self.won or now >= self.entered + timedelta(days=60):
            return
        self.won = True
        self.totals[("", "goal", "")] += 1
        if self.touched:
            self.totals[(self.touched, "goal", "")] += 1
        if not self.over:
            self._end("goal")

    def _go(self, node: str, step: int, now: datetime) -> None:
        self.at, self.ends = node, None
        self.totals[(node, "arrived", "")] += 1
        days = {"welcome": 7, "invite": 8, "visit": 10, "pause": 14, "call": 9, "rest": 30}
        if node in days:
            self.ends = now + timedelta(days=days[node])
        if node in (*ANSWERED, "offer"):
            self.totals[(node, "answered", "sent")] += 1
            self.touched = node
        if node in ANSWERED and node in self.plan.answers:
            delay, said = self.plan.answers[node]
            self.pending.setdefault(step + delay, []).append((node, said))
        match node:
            case "tier":
                self._go("invite" if self.plan.gold else "morning", step, now)
            case "morning":
                self.ends = self._morning(now)
            case "half":
                self._go("offer" if self._bucket() < 5_000 else "pause", step, now)
            case "offer":
                self._go("pause", step, now)
            case "thanks":
                self._go("rest", step, now)
            case "end":
                self._end("completed")
            case _:
                pass

    def _morning(self, now: datetime) -> datetime:
        """Ten o'clock of the next working day on the customer's clock."""
        local = now.astimezone(ZoneInfo(self.plan.zone))
        ten = local.replace(hour=10, minute=0, second=0, microsecond=0)
        while ten <= local or ten.weekday() > 4:
            ten = (ten + timedelta(days=1)).replace(hour=10)
        return ten.astimezone(now.tzinfo)

    def _bucket(self) -> int:
        digest = sha256(f"{SALT}:split:{self.profile_id}".encode()).digest()
        return int.from_bytes(digest[:8], "big") % 10_000

    def _end(self, reason: str) -> None:
        self.at, self.ends, self.over = None, None, True
        self.totals[("", "ended", reason)] += 1


def totals(
    plans: Sequence[Plan], profiles: Mapping[str, str], instants: Sequence[datetime]
) -> Counter[Count]:
    """What the counts of the journey have to be; `profiles` names the profile of each customer."""
    found: Counter[Count] = Counter()
    for one in plans:
        Paper(one, profiles[one.user_id], found).walk(instants)
    return found
