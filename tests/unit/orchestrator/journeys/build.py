"""Small journeys, and a play in which one person walks through them: time, events and answers.

The play keeps what storage would keep, and nothing else: the run, its timers, what was asked for.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from services.orchestrator.domain.journeys.advance import advance
from services.orchestrator.domain.journeys.document import parse_journey
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
    Wanted,
)
from services.orchestrator.domain.journeys.journey import Journey
from services.orchestrator.domain.journeys.live import LiveJourney
from services.orchestrator.domain.run import Run
from services.orchestrator.domain.timer import Timer
from shared.conditions.facts import Facts

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)  # a Monday
UTC_ZONE = ZoneInfo("UTC")


def mail(id_: str, next_: str = "end", **fields: Any) -> dict[str, Any]:
    return {
        "id": id_, "type": "message", "channel": "email", "content": {"body": "Hi"},
        "next": next_, **fields,
    }  # fmt: skip


def wait(id_: str, next_: str = "end", **fields: Any) -> dict[str, Any]:
    return {"id": id_, "type": "wait", "next": next_, **fields}


def end(reason: str = "completed", id_: str = "end") -> dict[str, Any]:
    return {"id": id_, "type": "exit", "reason": reason}


def document(*nodes: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {
        "category": "service",
        "entry": {"type": "event", "event": "Cart Updated"},
        "nodes": list(nodes),
        **fields,
    }


def journey(*nodes: dict[str, Any], version: int = 1, **fields: Any) -> Journey:
    return parse_journey(document(*nodes, **fields), key="j", version=version)


@dataclass
class Play:
    """One run, from its entry on. `answers` are those of the arbiter, by node; None: it is silent
    until the test says something."""

    live: LiveJourney
    traits: dict[str, Any] = field(default_factory=dict)
    segments: set[str] = field(default_factory=set)
    zone: ZoneInfo = UTC_ZONE
    now: datetime = NOON
    profile: str = "p"
    seq: int = 1
    answers: Mapping[str, str | None] = field(default_factory=dict)
    entry: dict[str, Any] = field(default_factory=dict)
    timers: list[Timer] = field(default_factory=list)
    wanted: list[Wanted] = field(default_factory=list)
    made: list[Advance] = field(default_factory=list)
    free_at: dict[str, datetime] = field(default_factory=dict)
    run: Run = field(init=False)

    @classmethod
    def of(cls, *nodes: dict[str, Any], **fields: Any) -> "Play":
        """A play of a journey of these nodes. Fields of the play go by keyword too, but for
        `entry`, which is the journey's."""
        names = set(cls.__dataclass_fields__) - {"entry"}
        own = {name: fields.pop(name) for name in list(fields) if name in names}
        return cls(LiveJourney([journey(*nodes, **fields)], live=1), **own)

    def person(self) -> Person:
        """The person as they stand."""
        facts = Facts(
            profile=self.traits, event=self.entry, segments=frozenset(self.segments),
            event_type="Cart Updated",
        )  # fmt: skip
        return Person(facts, self.zone)

    def enter(self, cause: str = "t1") -> "Play":
        """Come in, and take the first step."""
        facts = Facts(event=self.entry, event_type="Cart Updated", profile=self.traits)
        entry = Entry(self.profile, self.profile, self.seq, cause, facts, self.now)
        run = enter(self.live, entry, (), self.now)
        assert isinstance(run, Run), run
        self.run = run
        self.tell(Entered(self.person()))
        return self

    def tell(self, fact: Fact) -> Advance:
        """Give a fact to the run, and then the answers to what it asks for."""
        done = advance(self.live, self.run, fact, self.now)
        self.run = done.run
        self.made.append(done)
        self.timers += done.timers
        self.wanted += done.wanted
        for one in done.wanted:
            said = self.answers.get(one.node, "sent")
            if said is not None:
                self.tell(Answered(one.action_id, said, self.person()))
        for queued in done.queued:
            at = max(self.free_at.get(queued.node, self.now), self.now)
            self.free_at[queued.node] = at + queued.interval
            self.tell(Placed(queued.occurrence, at, self.person()))
        return done

    def happens(self, event: str, **properties: Any) -> Advance:
        """An update of the profile, by a touchpoint."""
        self.seq += 1
        facts = Facts(event_type=event, event=properties, profile=self.traits)
        return self.tell(Happened(self.profile, self.seq, facts, self.person()))

    def changes(self, **traits: Any) -> Advance:
        """An update of the profile, by other traits."""
        self.traits = {**self.traits, **traits}
        return self.happens("Profile Updated")

    def answered(self, node: str, said: str) -> Advance:
        """What became of the last action of a node."""
        action = next(one for one in reversed(self.wanted) if one.node == node)
        return self.tell(Answered(action.action_id, said, self.person()))

    def later(self, **delta: float) -> "Play":
        """Let time go by; timers go off at their instants."""
        until = self.now + timedelta(**delta)
        while (due := min(self.timers, key=lambda one: one.due_at, default=None)) is not None:
            if due.due_at > until:
                break
            self.timers.remove(due)
            self.now = max(self.now, due.due_at)
            self.tell(Due(due.gen, self.person()))
        self.now = until
        return self

    @property
    def asked(self) -> list[str]:
        """The nodes that asked for an action, in their order."""
        return [one.node for one in self.wanted]

    @property
    def standing(self) -> str | None:
        """The node on which the run stands; the reason in brackets when it is over."""
        return f"({self.run.reason})" if self.run.is_over else self.run.node

    @property
    def ids(self) -> list[UUID]:
        return [one.action_id for one in self.wanted]

    def taken_back(self) -> list[str]:
        """Why something was taken back."""
        return [one.reason for done in self.made for one in done.taken_back]
