"""What can happen to a run, and what follows from it: the input and the output of `advance`.

The effects are said in the orchestrator's words. Each one that somebody may notice has an id that
is made from run, node and occurrence.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID
from zoneinfo import ZoneInfo

from services.orchestrator.domain.rule import ActionSpec
from services.orchestrator.domain.run import Run
from services.orchestrator.domain.timer import Timer
from shared.conditions.facts import Facts

RUN = "run"
"""The kind of the one timer of a run."""
RESUME = "resume"
"""Timer of a run that waits at the entrance for its turn."""
GO_ON = "go_on"
"""Timer of a run that waits for its turn to go on after a pause of its journey."""


@dataclass(frozen=True, slots=True, eq=False)
class Person:
    """The person as they stand now, with the event that let them in as `event`, and their zone."""

    facts: Facts
    zone: ZoneInfo


@dataclass(frozen=True, slots=True, eq=False)
class Entered:
    """The person enters: the first step is taken."""

    person: Person


@dataclass(frozen=True, slots=True, eq=False)
class Happened:
    """An update of the profile `of`. `event` has the touchpoint as the event, which happened at
    `occurred_at`; a historical one (from a file of old records) is not what anybody waits for."""

    of: str
    seq: int
    event: Facts
    person: Person
    historical: bool = False
    occurred_at: datetime | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Due:
    """The timer of the run went off."""

    gen: int
    person: Person


@dataclass(frozen=True, slots=True, eq=False)
class Answered:
    """What became of an action: SENT, a refusal, or an outcome that its channel told."""

    action_id: UUID
    answer: str
    person: Person


@dataclass(frozen=True, slots=True, eq=False)
class Placed:
    """The instant at which the run may pass the throttle it stands at."""

    occurrence: int
    at: datetime
    person: Person


@dataclass(frozen=True, slots=True, eq=False)
class Moved:
    """An operator puts the run on a node; only from the step they saw. The node it stands on
    already: it is tried once more."""

    occurrence: int
    node: str
    person: Person


@dataclass(frozen=True, slots=True, eq=False)
class Skipped:
    """An operator lets the run go on; only from the step they saw."""

    occurrence: int
    person: Person


@dataclass(frozen=True, slots=True)
class Stopped:
    """An operator, or an erasure, ends the run."""

    reason: str


@dataclass(frozen=True, slots=True)
class Paused:
    """An operator holds the run where it stands."""


@dataclass(frozen=True, slots=True, eq=False)
class Resumed:
    """The run goes on: nobody holds it any more, or its turn at the entrance has come."""

    person: Person


@dataclass(frozen=True, slots=True, eq=False)
class Released:
    """The pause of the journey is over. A step that it held is taken; a run that is held for
    itself stays so."""

    person: Person


@dataclass(frozen=True, slots=True, eq=False)
class Edited:
    """Look at what is published now. Every other fact does so too: this one only comes sooner."""

    person: Person


@dataclass(frozen=True, slots=True)
class Merged:
    """Another profile, whose last update had this number, stands for the person now."""

    profile_id: str
    seq: int


@dataclass(frozen=True, slots=True)
class SteppedAside:
    """Another run of the person goes on in the place of this one. `again`: what it asked for where
    it stands is taken back before the person heard of it."""

    aside_for: UUID
    again: bool = False


@dataclass(frozen=True, slots=True)
class TookOver:
    """This run goes on in the place of another one of the person, which had done these nodes."""

    run: UUID
    nodes: frozenset[str]


@dataclass(frozen=True, slots=True, eq=False)
class Parted:
    """The person is two again, and `profile_id` stands for the one that this run is of. `gone` are
    the runs of the other one."""

    profile_id: str
    gone: frozenset[UUID]
    person: Person


Fact = (
    Entered | Happened | Due | Answered | Placed | Moved | Skipped | Stopped | Paused | Resumed
    | Released | Edited | Merged | SteppedAside | TookOver | Parted
)  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Wanted:
    """An action that a node wants done: a candidate for the arbiter, whose answer is told back."""

    action_id: UUID
    node: str
    occurrence: int
    spec: ActionSpec


@dataclass(frozen=True, slots=True)
class Queued:
    """The run stands at a throttle and wants the next place in its line; it does not wait longer
    than `max_wait`."""

    node: str
    occurrence: int
    interval: timedelta
    max_wait: timedelta


@dataclass(frozen=True, slots=True)
class SaidTraits:
    """Traits to be said of the person, by an event with this id."""

    id: UUID
    traits: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Emitted:
    """An event to be published about the person; `hops` is how many journeys led to it."""

    id: UUID
    event: str
    properties: Mapping[str, Any]
    hops: int


@dataclass(frozen=True, slots=True)
class Jumped:
    """The person wants to enter another journey; `id` is the cause of that."""

    id: UUID
    journey: str
    hops: int


@dataclass(frozen=True, slots=True)
class TakenBack:
    """Whatever of the run is still in flight, on any channel, is to be taken back; or only the one
    action, if there is an id."""

    run: UUID
    reason: str
    action_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Exposed:
    """Which arm of an experiment the person took, at the moment of decision; `node` None: the
    journey's own holdout, with the arms `held_out` and `treated`."""

    node: str | None
    arm: str
    layer: str
    salt: str
    bucket: int


@dataclass(frozen=True, slots=True)
class Reached:
    """The goal was reached; `touch` is the node that gets the credit, if any reached the person."""

    node: str | None
    at: datetime


NoteKind = Literal[
    "entered", "arrived", "left", "held", "resumed", "paused", "moved", "skipped", "followed",
    "spared", "answered", "goal", "ended", "merged", "aside",
    "aside_over", "parted",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Note:
    """A line of the run's log: what happened at which step, and the word for it."""

    kind: NoteKind
    node: str | None
    occurrence: int
    word: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Advance:
    """The run after a fact, and what follows. Nothing follows from a fact that was seen before.

    Of the timers of several advances that are committed together, only the last one counts: those
    before it have another generation than the run.
    """

    run: Run
    wanted: tuple[Wanted, ...] = ()
    queued: tuple[Queued, ...] = ()
    timers: tuple[Timer, ...] = ()
    traits: tuple[SaidTraits, ...] = ()
    emitted: tuple[Emitted, ...] = ()
    jumped: tuple[Jumped, ...] = ()
    taken_back: tuple[TakenBack, ...] = ()
    exposed: tuple[Exposed, ...] = ()
    reached: tuple[Reached, ...] = ()
    notes: tuple[Note, ...] = field(default=())
