"""The way of a run through its journey in one go: from where it stands to where it has to wait.

A walk collects what follows and keeps the run in step with it. What a node does when somebody comes
to it is in `arrive.py`; this module knows how one comes to a node, rests on it, and how a run ends.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime

from services.orchestrator.domain.journeys.facts import (
    RUN,
    Advance,
    Emitted,
    Exposed,
    Jumped,
    Note,
    NoteKind,
    Person,
    Queued,
    Reached,
    SaidTraits,
    TakenBack,
    Wanted,
)
from services.orchestrator.domain.journeys.journey import NEXT, TIMEOUT, Node
from services.orchestrator.domain.journeys.live import LiveJourney, LiveVersion
from services.orchestrator.domain.run import Held, Run
from services.orchestrator.domain.timer import Timer

MAX_STEPS = 1_000
"""Steps after which a run ends: nobody means to go round so often."""
NODE_REMOVED = "node_removed"
"""Why a run ended whose next node is gone from the version it follows."""
TOO_MANY_STEPS = "too_many_steps"
UNANSWERED = "unanswered"
"""Why a run ended that waited in vain for what became of an action, with no way to go on."""
NO_EDGE = {NEXT: NODE_REMOVED, TIMEOUT: UNANSWERED}
"""Why a run ends that has no edge to go on by; otherwise the word for the edge says it."""


@dataclass(slots=True, eq=False)
class Walk:
    """A run on its way at an instant, and what follows so far."""

    live: LiveJourney
    run: Run
    now: datetime
    person: Person | None
    wanted: list[Wanted] = field(default_factory=list)
    queued: list[Queued] = field(default_factory=list)
    traits: list[SaidTraits] = field(default_factory=list)
    emitted: list[Emitted] = field(default_factory=list)
    jumped: list[Jumped] = field(default_factory=list)
    taken_back: list[TakenBack] = field(default_factory=list)
    exposed: list[Exposed] = field(default_factory=list)
    reached: list[Reached] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    timer_gone: bool = False
    """Whether the run's timer went off, so that it needs another one."""

    @property
    def version(self) -> LiveVersion:
        """The version that the run goes by."""
        return self.live.versions[self.run.version]

    @property
    def node(self) -> Node | None:
        """The node on which the run stands."""
        return None if self.run.node is None else self.version.nodes.get(self.run.node)

    @property
    def is_paused(self) -> bool:
        """Whether no step may be taken now."""
        return self.live.paused or self.run.paused

    @property
    def known(self) -> Person:
        """The person as the fact shows them."""
        assert self.person is not None  # noqa: S101 - every fact that lets a run step has one
        return self.person

    def change(self, **fields: object) -> None:
        """Let the run be another in these fields."""
        self.run = replace(self.run, **fields)  # type: ignore[arg-type]

    def note(self, kind: NoteKind, word: str = "") -> None:
        """Write a line of the run's log."""
        self.notes.append(Note(kind, self.run.node, self.run.occurrence, word))

    def enter(self, target: str) -> Node | None:
        """Stand on a node; None when the run ended instead: an endless walk, or no such node."""
        node = self.version.nodes.get(target)
        if node is None:
            self.end(NODE_REMOVED)
            return None
        if self.run.occurrence >= MAX_STEPS:
            self.end(TOO_MANY_STEPS)
            return None
        self.change(
            node=target, occurrence=self.run.occurrence + 1, since=self.now, due=None,
            status="active",
        )  # fmt: skip
        self.note("arrived")
        return node

    def target(self, label: str) -> str | None:
        """The node to which an edge leads, in the version of which the next step is; None when the
        run ended, because there is none."""
        node = self.node
        leads = {} if node is None else node.leads
        target = leads.get(label, leads.get(NEXT))
        if target is None:
            self.end(NO_EDGE.get(label, label))
            return None
        return self.follow_to(target)

    def follow_to(self, target: str) -> str | None:
        """The node that stands for `target` in the version of which the next step is; None when the
        run ended, because there is none."""
        followed = self.live.followed(self.run.version)
        self.follow(followed)
        found = followed.journey.stands_for(target)
        if found is None:
            self.end(NODE_REMOVED)
        return found

    def follow(self, version: LiveVersion) -> None:
        """Go by another version from now on. How long a goal counts that was not reached is said by
        it; how long the run may last was said when the person entered."""
        journey = version.journey
        if journey.version == self.run.version:
            return
        until = None if journey.goal is None else self.run.entered_at + journey.goal.within
        if self.run.goal_at is not None:
            until = self.run.goal_until
        self.change(version=journey.version, goal_until=until)
        self.note("followed", str(journey.version))

    def rest(self, due: datetime | None, basis: str = "") -> None:
        """Stay on the node until an instant; None: until something else happens. `basis` is what
        the instant depends on beside the node."""
        self.change(due=due, basis=basis, status="waiting")

    def hold(self, held: Held) -> None:
        """Take a step only when the pause is over."""
        self.change(held=held, due=None, status="waiting")
        self.note("held", held.name)

    def end(self, reason: str, *, completed: bool = False, takes_back: bool = False) -> None:
        """The run is over; with `takes_back`, what it had asked for shall not happen any more."""
        if self.run.aside_for is not None:
            self.note("aside_over")
        elif self.run.is_over:
            return
        self.change(
            status="completed" if completed else "exited", reason=reason, ended_at=self.now,
            due=None, wakes_at=None, held=None, aside_for=None, gen=self.run.gen + 1,
        )  # fmt: skip
        if takes_back:
            self.taken_back.append(TakenBack(self.run.id, reason))
        self.note("ended", reason)

    def result(self, before: Run) -> Advance:
        """What came of it; with a timer where the run wakes at another instant than before."""
        timers: tuple[Timer, ...] = ()
        if not self.run.is_over:
            ends_at, due = self.run.ends_at, self.run.due
            wakes_at = ends_at if due is None else min(due, ends_at)
            if self.timer_gone or wakes_at != before.wakes_at:
                self.change(wakes_at=wakes_at, gen=self.run.gen + 1)
                gen = self.run.gen
                timers = (Timer(wakes_at, RUN, self.run.profile_id, self.run.id, gen),)
        return Advance(
            run=self.run,
            wanted=tuple(self.wanted),
            queued=tuple(self.queued),
            timers=timers,
            traits=tuple(self.traits),
            emitted=tuple(self.emitted),
            jumped=tuple(self.jumped),
            taken_back=tuple(self.taken_back),
            exposed=tuple(self.exposed),
            reached=tuple(self.reached),
            notes=tuple(self.notes),
        )
