"""A dry run: one person goes through a journey with chosen answers, events and a moving clock.

Every step is made by `advance`, the same as in real runs. What a node asks of the arbiter or of a
channel is answered by whoever rehearses; nobody is contacted, nothing is stored. Pure.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from heapq import heappop, heappush
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from services.orchestrator.domain.drop import Drop
from services.orchestrator.domain.journeys.advance import advance
from services.orchestrator.domain.journeys.enter import Entry, enter
from services.orchestrator.domain.journeys.facts import (
    Advance,
    Answered,
    Due,
    Entered,
    Fact,
    Happened,
    Person,
    Placed,
)
from services.orchestrator.domain.journeys.journey import SENT
from services.orchestrator.domain.journeys.live import LiveJourney
from services.orchestrator.domain.rule import ActionSpec
from services.orchestrator.domain.run import Run
from services.orchestrator.domain.update import Cause, facts_of
from shared.conditions.closure import compile_condition
from shared.conditions.facts import Facts
from shared.conditions.leaves import of_this_event
from shared.conditions.sentence import sentence
from shared.conditions.tree import EventCount
from shared.contracts.profile_update import ProfileSnapshot

MAX_LINES = 2_000
"""So many lines are shown; nothing is gone through after them."""
AT_ONCE = timedelta(0)


@dataclass(frozen=True, slots=True)
class Chosen:
    """What becomes of the action of a node, each time: the arbiter's answer (SENT or a refusal),
    and if it was sent the outcomes that its channel tells, each so long after. At a throttle,
    how long is to be waited for the turn."""

    answer: str = SENT
    outcomes: Sequence[tuple[timedelta, str]] = ()
    turn: timedelta = AT_ONCE


@dataclass(frozen=True, slots=True)
class Later:
    """An event at an instant; `traits` are those that the person has from then on."""

    at: datetime
    cause: Cause
    traits: Mapping[str, Any] = field(default_factory=dict)
    segments: Sequence[str] | None = None


@dataclass(frozen=True, slots=True)
class Scenario:
    """Who enters when, by what, and what happens to them until an instant. `arms` says which way
    splits take, by their nodes: an arm, or the node that it leads to; others go by the hash, as in
    real runs."""

    profile: ProfileSnapshot
    zone: ZoneInfo
    cause: Cause
    enters_at: datetime
    until: datetime
    chosen: Mapping[str, Chosen] = field(default_factory=dict)
    arms: Mapping[str, str] = field(default_factory=dict)
    events: Sequence[Later] = ()


@dataclass(frozen=True, slots=True)
class Asked:
    """What a node asks for, and what its content is filled from."""

    spec: ActionSpec
    facts: Facts


@dataclass(frozen=True, slots=True)
class Line:
    """What happened at an instant at a node: a kind of a run's log, or what was asked for
    (`asks`, with what in `asked`), taken back (`retracts`), said of the person (`says`), where they
    were sent (`jumps`), or which arm they took (`exposed`)."""

    at: datetime
    kind: str
    node: str | None
    occurrence: int
    word: str
    asked: Asked | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class DryRun:
    """Everything that happened, in order, and where the run stands then; `run` is None for who may
    not enter, for the reason in `refused`."""

    lines: Sequence[Line]
    run: Run | None
    refused: Drop | None
    complete: bool
    """Whether nothing was left out."""


def dry_run(journey: LiveJourney, scenario: Scenario) -> DryRun:
    """Let the person of the scenario go through the journey."""
    versions = [one.journey for one in journey.versions.values()]
    current = None if journey.current is None else journey.current.journey.version
    live = LiveJourney(versions, live=current, winners=_arms(journey, scenario))
    entry = _entry(scenario)
    entered = _not_meant(live, entry.facts) or enter(live, entry, (), scenario.enters_at)
    if not isinstance(entered, Run):
        return DryRun((), None, entered, complete=True)
    return _Rehearsed(live, entered, scenario).go()


class _Rehearsed:
    """One run, its virtual clock, and what is still to come."""

    def __init__(self, live: LiveJourney, run: Run, scenario: Scenario) -> None:
        self._live = live
        self._run = run
        self._scenario = scenario
        self._profile = scenario.profile
        self._now = scenario.enters_at
        self._lines: list[Line] = []
        self._coming: list[tuple[datetime, int, Later | tuple[UUID, str] | int]] = []
        self._number = 0
        self._seq = run.seqs[run.home]
        for one in scenario.events:
            self._comes(one.at, one)

    def go(self) -> DryRun:
        """Enter, and live through everything until the end of the scenario."""
        self._tell(Entered(self._person()))
        while self._coming and len(self._lines) < MAX_LINES:
            at, _, what = self._coming[0]
            if at > self._scenario.until:
                break
            heappop(self._coming)
            self._now = max(self._now, at)
            self._tell(self._fact(what))
        return DryRun(
            self._lines[:MAX_LINES], self._run, None, complete=len(self._lines) < MAX_LINES
        )

    def _fact(self, what: Later | tuple[UUID, str] | int) -> Fact:
        """A timer by its generation, an outcome by its action, or something that happens."""
        if isinstance(what, int):
            return Due(what, self._person())
        if isinstance(what, tuple):
            return Answered(*what, self._person())
        self._seq += 1
        self._profile = _after(self._profile, what)
        event = facts_of(self._profile, what.cause, self._now)
        historical = what.cause.historical or what.cause.backfill
        return Happened(self._run.home, self._seq, event, self._person(), historical)

    def _person(self) -> Person:
        facts = facts_of(self._profile, self._scenario.cause, self._now)
        return Person(facts, self._scenario.zone)

    def _comes(self, at: datetime, what: Later | tuple[UUID, str] | int) -> None:
        self._number += 1
        heappush(self._coming, (at, self._number, what))

    def _tell(self, fact: Fact) -> None:
        """One step, and the answers to what it asks for, until it asks for nothing more."""
        facts = [fact]
        while facts and len(self._lines) < MAX_LINES:
            done = advance(self._live, self._run, facts.pop(0), self._now)
            self._run = done.run
            self._lines += _lines(done, self._now, self._person().facts)
            for timer in done.timers:
                self._comes(timer.due_at, timer.gen)
            facts += self._answers(done)

    def _answers(self, done: Advance) -> Iterable[Fact]:
        for wanted in done.wanted:
            chosen = self._scenario.chosen.get(wanted.node, Chosen())
            if chosen.answer == SENT:
                for after, outcome in chosen.outcomes:
                    self._comes(self._now + after, (wanted.action_id, outcome))
            yield Answered(wanted.action_id, chosen.answer, self._person())
        for queued in done.queued:
            turn = self._scenario.chosen.get(queued.node, Chosen()).turn
            yield Placed(queued.occurrence, self._now + turn, self._person())


def _not_meant(live: LiveJourney, facts: Facts) -> Drop | None:
    """Why the event that begins it is not what lets people in; without an event, they are let in by
    whatever does."""
    entry = None if live.current is None else live.current.journey.entry
    if entry is None or entry.kind != "event" or facts.event_type is None:
        return None
    condition = of_this_event(EventCount(entry.event, entry.where))
    if compile_condition(condition)(facts):
        return None
    return Drop("trigger", "not_triggered", sentence(condition), True, False)


def _arms(journey: LiveJourney, scenario: Scenario) -> Mapping[str, str]:
    """The arms by node, those that were chosen first."""
    found = dict(journey.winners)
    nodes = {} if journey.current is None else journey.current.nodes
    for node, chosen in scenario.arms.items():
        leads = nodes[node].leads if node in nodes else {}
        found[node] = next((arm for arm, target in leads.items() if target == chosen), chosen)
    return found


def _entry(scenario: Scenario) -> Entry:
    profile, cause = scenario.profile, scenario.cause
    return Entry(
        profile_id=profile.id,
        of=profile.id,
        seq=1,
        cause=cause.id or f"{profile.id}/1",
        facts=facts_of(profile, cause, scenario.enters_at),
        occurred_at=cause.occurred or scenario.enters_at,
        received_at=cause.received,
        historical=cause.historical,
        backfill=cause.backfill,
        hops=cause.hops,
    )


def _after(profile: ProfileSnapshot, later: Later) -> ProfileSnapshot:
    """The profile directly after an event."""
    segments = profile.segments if later.segments is None else list(later.segments)
    return msgspec.structs.replace(
        profile, traits={**profile.traits, **later.traits}, segments=segments
    )


def _lines(done: Advance, at: datetime, facts: Facts) -> Iterable[Line]:
    """What a step did, in words, for a person of whom this is known."""
    run = done.run
    for note in done.notes:
        yield Line(at, note.kind, note.node, note.occurrence, note.word)
    for wanted in done.wanted:
        asked = Asked(wanted.spec, facts)
        yield Line(at, "asks", wanted.node, wanted.occurrence, wanted.spec.channel, asked)
    for back in done.taken_back:
        yield Line(at, "retracts", run.node, run.occurrence, back.reason)
    for said in done.traits:
        yield Line(at, "says", run.node, run.occurrence, ", ".join(sorted(said.traits)))
    for emitted in done.emitted:
        yield Line(at, "says", run.node, run.occurrence, emitted.event)
    for jump in done.jumped:
        yield Line(at, "jumps", run.node, run.occurrence, jump.journey)
    for one in done.exposed:
        yield Line(at, "exposed", one.node, run.occurrence, one.arm)
