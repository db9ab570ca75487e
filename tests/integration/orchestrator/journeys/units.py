"""What is committed in one transaction, and what is published, in words of the model."""

from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

Verb = Literal["move", "skip", "stop", "pause", "resume", "retry"]


@dataclass(frozen=True)
class Link:
    """`profile` was merged into `partner`, or parted from it; `number` is its own of that."""

    profile: str
    partner: str
    number: int
    merged: bool


@dataclass(frozen=True)
class Outcome:
    """What is said of the action of a step."""

    run: UUID
    step: int
    word: str


@dataclass(frozen=True)
class Happening:
    """One update of a profile."""

    profile: str
    number: int
    event: str
    key: str = ""
    cause: str = ""
    segments: frozenset[str] = frozenset()
    link: Link | None = None
    outcome: Outcome | None = None
    erases: bool = False


@dataclass(frozen=True)
class Batch:
    """What one worker commits."""

    happenings: tuple[Happening, ...]


@dataclass(frozen=True)
class Poll:
    """Timers that are due go off."""


@dataclass(frozen=True)
class Sweep:
    """All runs of a journey are told something; at a `rate`, so many hours apart."""

    journey: str
    kind: Literal["edited", "resumed"]
    rate: int | None = None


@dataclass(frozen=True)
class Sweeps:
    """One after the other."""

    several: tuple[Sweep, ...]


@dataclass(frozen=True)
class Order:
    """What an operator orders about a run, from the step that they saw."""

    run: UUID
    verb: Verb
    step: int
    node: str = ""


Unit = Batch | Poll | Sweeps | Order


@dataclass
class Published:
    """A journey: all its versions, and whether it is paused."""

    documents: list[dict[str, Any]]
    paused: bool = False

    @property
    def mode(self) -> str:
        mode: str = self.documents[-1]["re_entry"]["mode"]
        return mode
