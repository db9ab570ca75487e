"""A run: one person in one journey, and everything about it that the next step depends on.

Values only. A run that is not over has exactly one timer: its `wakes_at` under its `gen`; so there
is never a second one that could go off, and a run without one is seen to be stuck.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal
from uuid import UUID

from shared import ids

Status = Literal["active", "waiting", "completed", "exited"]

RUN_NAMESPACE = UUID("5f1e1a57-0a0e-5c3b-8a70-6f0a0a4f9d21")
"""Must never change: it keeps the id of a run the same when its entry is processed again."""

MERGED = "merged"
"""Why a run ended that stepped aside for another run of the same person."""
HELD_OUT = "held_out"
"""Why a run ended before its first step: the person is one of those left out."""


@dataclass(frozen=True, slots=True)
class Touch:
    """A node that reached the person."""

    node: str
    occurrence: int


@dataclass(frozen=True, slots=True)
class Absorbed:
    """What another run of the same person had done before it stepped aside: the nodes that reached
    the person, which this run passes over once."""

    run: UUID
    nodes: frozenset[str]


@dataclass(frozen=True, slots=True)
class Held:
    """A step that is not taken while there is a pause: the first one, leaving the node by an edge,
    or coming to a node."""

    by: Literal["start", "edge", "node"]
    name: str = ""


@dataclass(frozen=True, slots=True)
class Run:
    """Where a run stands.

    `profile_id` stands for the person now, `home` is the profile that entered, `unit` the name by
    which splits know the person: it stays through merges. `key` tells runs of one person apart.
    `seqs` has for each profile the number of its last update that was seen. `occurrence` counts
    the steps, from 1. `node` is where it stands `since`; `due` is when what it waits for there
    ends, None where no time ends it but `ends_at`, and `basis` what that instant was found from
    beside the node: the person's zone and date. `goal_at` is when the goal was reached,
    `goal_happened_at` when its event happened, `goal_until` how long it counts, also after the end
    of the run.
    """

    id: UUID
    journey: str
    version: int
    profile_id: str
    home: str
    unit: str
    key: str
    entered_at: datetime
    occurred_at: datetime
    ends_at: datetime
    goal_until: datetime | None
    seqs: Mapping[str, int]
    hops: int = 0
    status: Status = "active"
    reason: str | None = None
    ended_at: datetime | None = None
    node: str | None = None
    occurrence: int = 0
    since: datetime | None = None
    due: datetime | None = None
    basis: str = ""
    wakes_at: datetime | None = None
    gen: int = 0
    paused: bool = False
    held: Held | None = None
    first_touch: Touch | None = None
    last_touch: Touch | None = None
    touched: frozenset[str] = frozenset()
    absorbed: tuple[Absorbed, ...] = field(default=())
    aside_for: UUID | None = None
    goal_at: datetime | None = None
    goal_happened_at: datetime | None = None

    @property
    def is_over(self) -> bool:
        """Whether no step will be taken any more. One that stepped aside may come back."""
        return self.status in ("completed", "exited")

    @property
    def spared(self) -> frozenset[str]:
        """The nodes that another run of the person did already."""
        return frozenset().union(*(one.nodes for one in self.absorbed))

    def watches(self, now: datetime) -> bool:
        """Whether what happens now can still matter to the run."""
        counts = self.goal_at is None and self.goal_until is not None and now < self.goal_until
        aside = self.aside_for is not None and now < self.ends_at
        return not self.is_over or aside or counts


@dataclass(frozen=True, slots=True)
class Standing:
    """A run, and the event that let the person in, as it is kept with it; `watching`: what happens
    can still matter to it."""

    run: Run
    cause: bytes
    watching: bool = True


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a run: what it does has the same id whenever it is asked."""

    run: UUID
    occurrence: int


def run_id(journey: str, cause: str, key: str) -> UUID:
    """The id of the run that a cause begins: the same when it is seen again."""
    return ids.derived_id(RUN_NAMESPACE, journey, cause, key)


def effect_id(run: UUID, node: str, occurrence: int) -> UUID:
    """The id of what a step does: one effect for each run, node and occurrence, whatever the
    version and however often it is tried."""
    return ids.action_id(str(run), node, str(occurrence))
