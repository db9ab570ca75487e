"""A journey: who enters it, the graph of its steps, and what ends it; frozen, checked values.

This module only says what a journey is; `document.py` reads and checks the JSON form. A node has a
payload that says what it does, and edges: from a word for how it was left to the next node.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

from services.orchestrator.domain.rule import ActionSpec, Holdout, ReEntry, Trigger, Worth
from shared.conditions.tree import Condition

VersionPolicy = Literal["pin", "follow_live"]
Removed = Literal["finish", "exit"]
Attribution = Literal["last_touch", "first_touch"]
LeapDay = Literal["feb_28", "mar_1"]

NEXT, TIMEOUT, PAST, MISSING, LATE, ELSE = "next", "timeout", "past", "missing", "late", "else"
"""Words for how a node is left; others are the arms of a split and the outcomes of an action."""

SENT = "sent"
"""The answer that an action was taken on: it is on its way, or waits for its instant."""
REFUSALS = ("undeliverable", "no_consent", "capped", "quiet", "held_out", "refused")
"""The answers that nothing will be done: for want of an address, of consent, of room under a cap,
for quiet hours that discard, for a holdout, or for any other gate of the decision."""


@dataclass(frozen=True, slots=True)
class Awaited:
    """A touchpoint that comes later: of this type, `where` holds for it, and its attribute `key`,
    if one is given, is the key of the run."""

    event: str
    where: Condition | None = None
    key: str | None = None


Criterion = Awaited | Condition
"""What ends a run or a wait: a later touchpoint, or a condition about the person as they stand."""


@dataclass(frozen=True, slots=True)
class OnClock:
    """A time of the person's day, on days of their week (1 is Monday) or on one day of the month;
    of a month that is shorter, the last day."""

    at: time
    weekdays: frozenset[int] = frozenset(range(1, 8))
    month_day: int | None = None


@dataclass(frozen=True, slots=True)
class Lasting:
    """So long, and then until the clock shows a time, if one is given; at least one of both."""

    length: timedelta
    clock: OnClock | None = None


@dataclass(frozen=True, slots=True)
class Awaiting:
    """Until it happens or holds, but no longer than `timeout`."""

    what: Criterion
    timeout: timedelta


@dataclass(frozen=True, slots=True)
class OnDate:
    """Until a day that a trait names, so many days before (negative) or after it, at a time of the
    person's day; `annual`: every year again, where `leap_day` says what February 29 is in other
    years."""

    attr: str
    offset: int
    at: time
    annual: bool
    leap_day: LeapDay = "feb_28"


@dataclass(frozen=True, slots=True)
class Calendar:
    """When people work: from `opens` to `closes` on weekdays that are no holidays. In its own
    zone, or in that of the person."""

    weekdays: frozenset[int]
    holidays: frozenset[date]
    opens: time
    closes: time
    zone: ZoneInfo | None


@dataclass(frozen=True, slots=True)
class BusinessDays:
    """Until the n-th working day after today, at `at` or when work begins; of 0 days: until it is
    working time, which may be now."""

    days: int
    calendar: str
    at: time | None


@dataclass(frozen=True, slots=True, eq=False)
class Act:
    """Ask the arbiter for an action. `stops` says that the run ends when it comes to nothing;
    `patience` is how long its outcome is waited for, where edges name outcomes."""

    spec: ActionSpec
    stops: bool
    patience: timedelta


@dataclass(frozen=True, slots=True, eq=False)
class Branch:
    """The first case that holds; its edge has its place as the word. Otherwise ELSE."""

    cases: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Arm:
    """One way of a split, and how many percent of all people take it."""

    key: str
    percent: float


@dataclass(frozen=True, slots=True)
class Split:
    """People by a hash of `salt`, `layer` and the person, so that the same one always goes the same
    way. An experiment `exposes`: who took which arm is logged, until there is a `winner`."""

    salt: str
    layer: str
    arms: tuple[Arm, ...]
    exposes: bool = False
    winner: str | None = None


@dataclass(frozen=True, slots=True)
class Spacing:
    """So many runs pass in each period, evenly spaced; who would wait longer than `max_wait` takes
    the edge LATE, or leaves the journey."""

    limit: int
    per: timedelta
    max_wait: timedelta

    @property
    def interval(self) -> timedelta:
        """The time from one run to the next."""
        return self.per / self.limit


@dataclass(frozen=True, slots=True)
class SetTraits:
    """Say these traits of the person."""

    traits: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Emit:
    """Publish an event about the person."""

    event: str
    properties: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Jump:
    """Let the person enter another journey, and go on in this one."""

    journey: str


@dataclass(frozen=True, slots=True)
class Leave:
    """The end of the journey."""

    reason: str


Wait = Lasting | Awaiting | OnDate | BusinessDays
Does = Act | Wait | Branch | Split | Spacing | SetTraits | Emit | Jump | Leave


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """A step. `leads` maps the word for how it is left to the id of the next node; it stands in for
    nodes of earlier versions that are gone, the ids in `replaces`."""

    id: str
    does: Does
    leads: Mapping[str, str] = field(default_factory=dict)
    replaces: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Goal:
    """What the journey is for: a later touchpoint, at most `within` after entry. `exits`: the run
    ends with it; the node that last, or first, reached the person gets the credit."""

    what: Awaited
    within: timedelta
    attribution: Attribution
    exits: bool


@dataclass(frozen=True, slots=True, eq=False)
class Journey:
    """A validated version of a journey; the first node of `nodes` is where people enter.

    `version_policy` says what its publication does to runs of the version before: they stay, or
    their next step is one of this version; then `removed` says what becomes of those that stand on
    a node that is gone. `rate` spaces the entries of a whole audience.
    """

    key: str
    version: int
    category: str
    topic: str | None
    group: str | None
    priority: int
    worth: Worth
    costs: Mapping[str, float]
    customer: float | None
    entry: Trigger
    rate: Spacing | None
    re_entry: ReEntry
    holdout: Holdout | None
    max_duration: timedelta
    exit_criteria: tuple[Criterion, ...]
    goal: Goal | None
    nodes: Mapping[str, Node]
    calendars: Mapping[str, Calendar]
    version_policy: VersionPolicy
    removed: Removed
    valid_from: datetime | None
    valid_to: datetime | None

    @property
    def first(self) -> str:
        """The node where people enter."""
        return next(iter(self.nodes))

    def stands_for(self, node: str) -> str | None:
        """The node of this version that does what the node of an earlier one did; None: gone."""
        if node in self.nodes:
            return node
        return next((one.id for one in self.nodes.values() if node in one.replaces), None)

    def is_valid_at(self, at: datetime) -> bool:
        """Whether people may enter at the instant."""
        return (self.valid_from is None or self.valid_from <= at) and (
            self.valid_to is None or at < self.valid_to
        )
