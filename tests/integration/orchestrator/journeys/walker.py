"""A run as the naive model sees it, with what tells it from the other runs of a person."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from math import inf
from typing import Any
from uuid import UUID

from tests.property.orchestrator.journeys.model import Naive


@dataclass(frozen=True)
class Name:
    """What a run is called: its id, the journey, its key, and the profile that entered; `unit` is
    the person who entered, by which splits know them."""

    id: UUID
    journey: str
    key: str
    home: str
    unit: str


class Walker(Naive):
    """A naive run that can be held by hand, and hears of publications only when it is told
    something. `first` is the version that its first document is."""

    def __init__(
        self, name: Name, documents: Sequence[dict[str, Any]], now: float, segments: set[str]
    ) -> None:
        super().__init__(documents[-1], now, segments, lambda node, step: "sent")
        self.name = name
        self.first = len(documents)
        self.by_hand = False
        self.aside_for: UUID | None = None
        self.is_watched = True
        self.really_entered = inf
        self.turns: list[float] = []

    @property
    def stands_in(self) -> int:
        """The version of the journey that it goes by."""
        return self.first + self.version

    @property
    def rank(self) -> tuple[float, float, float, str]:
        """Of two runs with one key, the one with the lower rank goes on. Which of two people of one
        step entered first, the database says."""
        return -len(self.reached), self.really_entered, self.entered, str(self.name.id)

    @property
    def ended(self) -> str | None:
        """Why it is over; one that stepped aside is."""
        return "merged" if self.frozen else self.over

    def show(self, segments: set[str], journey_paused: bool) -> None:
        """Before it is told something: how does the person stand, and is there a pause?"""
        self.segments = segments
        self.paused = journey_paused or self.by_hand

    def rest(self, now: float) -> None:
        """After it was told something: can anything still happen to it?"""
        goal = self.documents[self.version].get("goal")
        counts = goal and not self.goals and now < self.entered + _hours(goal["within"])
        aside = self.frozen and now < self.ends
        self.is_watched = self.ended is None or aside or bool(counts)

    def catch_up(self) -> None:
        if not self._asleep():
            super().catch_up()

    def event(self, name: str, id_: str, now: float) -> None:
        self.catch_up()
        super().event(name, id_, now)

    def outcome(self, said: str, now: float) -> None:
        self.catch_up()
        super().outcome(said, now)

    def look(self) -> None:
        self.catch_up()
        super().look()

    def skip(self, now: float) -> None:
        self.catch_up()
        super().skip(now)

    def move(self, target: str, now: float) -> None:
        self.catch_up()
        super().move(target, now)

    def resume(self, now: float) -> None:
        if self.held is not None and not self.paused:
            self.catch_up()
            super().resume(now)

    def publish(self, document: dict[str, Any]) -> None:
        self.documents.append(document)

    def begin(self, now: float) -> None:
        """The first step, unless the person is left out."""
        holdout = self.documents[0].get("holdout")
        if holdout and _bucket(holdout["salt"], "journey", self.name.unit) < holdout["percent"]:
            self.over = "held_out"
        else:
            self.enter(now)

    @property
    def wakes(self) -> float:
        """When its timer goes off."""
        if self.ended is not None:
            return inf
        return self.ends if self.due is None else min(self.due, self.ends)

    def timer(self, now: float) -> None:
        """The timer goes off."""
        before = self.wakes
        self.catch_up()
        self.clock(now)
        assert self.wakes > before, "it goes off for ever"

    def step_aside(self, other: UUID) -> None:
        """Another run goes on in its place. A task that it stands at is withdrawn, and asked for
        once more when it comes back."""
        if not self.over:
            self.frozen, self.aside_for = True, other
            if self.at and self.held is None and self._node().get("withdrawn"):
                self.held, self.due = ("node", self.at), None

    def _go(self, target: str, now: float) -> None:
        found = next((one for one in self._nodes() if one["id"] == target), {})
        if found.get("type") != "split" or self.paused:
            super()._go(target, now)
            return
        self.at, self.due, self.step = target, None, self.step + 1
        place = _bucket(found["salt"], "split", self.name.unit)
        for way in found["branches"]:
            place -= way["percent"]
            if place < 0:
                self._to(way["next"], now)
                return
        raise AssertionError(f"the percents of {target} are not 100")

    def _nodes(self) -> list[dict[str, Any]]:
        nodes: list[dict[str, Any]] = self.documents[self.version]["nodes"]
        return nodes


def step_aside(mode: str, runs: Iterable[Walker]) -> None:
    """Of the runs of one person with one key one goes on."""
    if mode == "always":
        return
    groups: dict[str, list[Walker]] = {}
    for one in runs:
        if not one.frozen and (mode == "never" or not one.over):
            groups.setdefault(one.name.key, []).append(one)
    for group in groups.values():
        first, *others = sorted(group, key=lambda one: one.rank)
        for other in others:
            other.step_aside(first.name.id)
            if first.over is None:
                for whose, nodes in [(str(other.name.id), other.reached), *other.spared.items()]:
                    first.spared.setdefault(whose, nodes - first.reached)


def _bucket(salt: str, layer: str, unit: str) -> float:
    """In percent: where a person stands for a split."""
    digest = sha256(f"{salt}:{layer}:{unit}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % 10_000 / 100


def _hours(text: str) -> int:
    return int(text.removeprefix("PT").removesuffix("H"))
