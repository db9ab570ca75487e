"""Whatever comes in whatever order, twice, late, or not at all before a crash: a run does what the
naive model does, each step has at most one effect, and a run that is not over has one timer."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from services.orchestrator.domain.journeys.advance import advance
from services.orchestrator.domain.journeys.document import parse_journey
from services.orchestrator.domain.journeys.enter import Entry, enter
from services.orchestrator.domain.journeys.facts import (
    Advance,
    Answered,
    Due,
    Edited,
    Entered,
    Fact,
    Happened,
    Moved,
    Person,
    Resumed,
    Skipped,
)
from services.orchestrator.domain.journeys.live import LiveJourney
from services.orchestrator.domain.journeys.merge import Told, divide, unite
from services.orchestrator.domain.run import Run
from services.orchestrator.domain.timer import Timer
from shared.conditions.facts import Facts
from tests.property.orchestrator.journeys.generated import (
    ANSWERS,
    EVENTS,
    IDS,
    OUTCOMES,
    documents,
)
from tests.property.orchestrator.journeys.model import Naive

START = datetime(2026, 11, 23, tzinfo=UTC)
UTC_ZONE = ZoneInfo("UTC")
SIDES = st.sampled_from([0, 1])


class Stored:
    """A run and its model, with what storage keeps of it: its timers, all that were set and are not
    gone, and what was told before."""

    def __init__(self, profile: str, run: Run, model: Naive) -> None:
        self.profile, self.run, self.model = profile, run, model
        self.timers: list[Timer] = []
        self.last: Timer | None = None
        self.told: list[Fact] = []
        self.asked: list[tuple[str, int]] = []
        self.actions: list[Any] = []
        self.said: list[Any] = []
        self.goals = 0


class Journeys(RuleBasedStateMachine):
    """Two profiles, each with a run of the same journey; they may turn out to be one person."""

    @initialize(
        document=documents(), seed=st.integers(0, 30), paused=st.booleans(), later=st.integers(0, 9)
    )
    def begin(self, document: dict[str, Any], seed: int, paused: bool, later: int) -> None:
        self.hour, self.seed, self.segments = 0, seed, set[str]()
        self.seqs = {"a": 1, "b": 1}
        self.journeys = [parse_journey(document, key="j", version=0)]
        self.live = LiveJourney(self.journeys, live=0, paused=paused)
        self.merged = False
        self.stored: list[Stored] = []
        for profile, wait in (("a", 0), ("b", later)):
            self.hour += wait
            self._enter(profile, document, paused)

    def _enter(self, profile: str, document: dict[str, Any], paused: bool) -> None:
        facts = Facts(event_type="Begin", event={"id": "1"})
        entry = Entry(profile, profile, 1, f"begin-{profile}", facts, self.now)
        run = enter(self.live, entry, (), self.now)
        assert isinstance(run, Run)
        model = Naive(document, self.hour, self.segments, self.verdict)
        model.paused = paused
        one = Stored(profile, run, model)
        self.stored.append(one)
        model.enter(self.hour)
        self.tell(one, Entered(self.person))

    @property
    def now(self) -> datetime:
        return START + timedelta(hours=self.hour)

    @property
    def person(self) -> Person:
        facts = Facts(segments=frozenset(self.segments), event={"id": "1"}, event_type="Begin")
        return Person(facts, UTC_ZONE)

    def verdict(self, node: str, step: int) -> str:
        return ANSWERS[(self.seed + step * 7 + int(node[1:]) * 3) % (2 + self.seed % 2)]

    def tell(self, one: Stored, fact: Fact) -> Advance:
        done = advance(self.live, one.run, fact, self.now)
        one.run = done.run
        one.told.append(fact)
        for timer in done.timers:
            one.timers.append(timer)
            one.last = timer
        one.said += [(said.id, one.run.id) for said in done.traits]
        one.goals += len(done.reached)
        for wanted in done.wanted:
            one.asked.append((wanted.node, wanted.occurrence))
            one.actions.append(wanted.action_id)
            said = self.verdict(wanted.node, wanted.occurrence)
            self.tell(one, Answered(wanted.action_id, said, self.person))
        return done

    # What happens to people

    @rule(side=SIDES, event=st.sampled_from(EVENTS), id_=st.sampled_from(["1", "2"]))
    def happens(self, side: int, event: str, id_: str) -> None:
        profile = "ab"[side]
        self.seqs[profile] += 1
        facts = Facts(event_type=event, event={"id": id_}, segments=frozenset(self.segments))
        for one in self.stored:
            if self.merged or one.profile == profile:
                one.model.event(event, id_, self.hour)
                fact = Happened(profile, self.seqs[profile], facts, self.person)
                self.tell(one, fact)

    @rule(segment=st.sampled_from(["vip", "vip", "out"]))
    def joins_or_leaves(self, segment: str) -> None:
        self.segments ^= {segment}
        for one in self.stored:
            self.seqs[one.profile] += 1
            one.model.event("Changed", "", self.hour)
            facts = Facts(event_type="Changed", segments=frozenset(self.segments))
            self.tell(one, Happened(one.profile, self.seqs[one.profile], facts, self.person))
            if self.merged:  # both runs are the person's: the other one heard of it too
                other = self.stored[1 - self.stored.index(one)]
                other.model.event("Changed", "", self.hour)
                self.tell(other, Happened(one.profile, self.seqs[one.profile], facts, self.person))

    @rule(side=SIDES, said=st.sampled_from(OUTCOMES))
    def is_answered(self, side: int, said: str) -> None:
        one = self.stored[side]
        if one.actions:
            one.model.outcome(said, self.hour)
            self.tell(one, Answered(one.actions[-1], said, self.person))

    # Time

    @rule(hours=st.integers(1, 50))
    def time_goes_by(self, hours: int) -> None:
        """Timers are late: nobody looks at them."""
        self.hour += hours

    @rule(side=SIDES, place=st.integers(0, 50), twice=st.booleans())
    def a_timer_goes_off(self, side: int, place: int, twice: bool) -> None:
        """Any timer that was ever set and not deleted, also much too early, also one after its
        deletion was not remembered."""
        one = self.stored[side]
        if one.timers:
            timer = one.timers[place % len(one.timers)]
            if not twice:
                one.timers.remove(timer)
            self._fire(one, timer)

    @rule(hours=st.integers(1, 30))
    def timers_are_on_time(self, hours: int) -> None:
        for _ in range(hours):
            self.hour += 1
            self._fire_all()

    def _fire(self, one: Stored, timer: Timer) -> None:
        if timer is one.last:
            one.last = None
            if timer.due_at <= self.now:
                one.model.clock(self.hour)
        self.tell(one, Due(timer.gen, self.person))

    def _fire_all(self) -> None:
        for one in self.stored:
            for _ in range(2_000):
                if one.last is None or one.last.due_at > self.now:
                    break
                self._fire(one, one.last)
            else:
                raise AssertionError("timers without an end")

    # What goes wrong

    @rule(side=SIDES, place=st.integers(0, 500))
    def something_comes_again(self, side: int, place: int) -> None:
        one = self.stored[side]
        again = [fact for fact in one.told if isinstance(fact, Entered | Happened | Due | Answered)]
        if again:
            fact = again[place % len(again)]
            if isinstance(fact, Answered):
                one.model.look()
            elif isinstance(fact, Due) and one.last is not None and fact.gen == one.last.gen:
                return  # not told yet: a copy of a timer that is still to go off
            self.tell(one, replace(fact, person=self.person))

    @rule(side=SIDES, event=st.sampled_from(EVENTS))
    def a_worker_dies(self, side: int, event: str) -> None:
        """It did everything, and nothing of it was committed."""
        one = self.stored[side]
        facts = Facts(event_type=event, event={"id": "1"}, segments=frozenset(self.segments))
        before = one.run
        advance(self.live, one.run, Happened("a", 10**6, facts, self.person), self.now)
        advance(self.live, one.run, Due(one.run.gen, self.person), self.now)
        assert one.run is before

    # What operators do

    @rule(document=documents(first=False))
    def is_published(self, document: dict[str, Any]) -> None:
        if len(self.journeys) < 5:
            version = len(self.journeys)
            self.journeys.append(parse_journey(document, key="j", version=version))
            self.live = LiveJourney(self.journeys, live=version, paused=self.live.paused)
            for one in self.stored:
                one.model.publish(document)

    @rule()
    def is_looked_at(self) -> None:
        for one in self.stored:
            one.model.look()
            self.tell(one, Edited(self.person))

    @rule()
    def is_paused_or_resumed(self) -> None:
        paused = not self.live.paused
        live = len(self.journeys) - 1
        self.live = LiveJourney(self.journeys, live=live, paused=paused)
        for one in self.stored:
            one.model.paused = paused
            if not paused:
                one.model.resume(self.hour)
                self.tell(one, Resumed(self.person))

    @rule(side=SIDES, node=st.sampled_from(IDS), skips=st.booleans(), twice=st.booleans())
    def is_moved(self, side: int, node: str, skips: bool, twice: bool) -> None:
        one = self.stored[side]
        step = one.run.occurrence
        if skips:
            one.model.skip(self.hour)
        else:
            one.model.move(node, self.hour)
        fact = Skipped(step, self.person) if skips else Moved(step, node, self.person)
        self.tell(one, fact)
        if twice and one.run.occurrence != step:
            assert self.tell(one, fact).notes == ()

    # Who people are

    @precondition(lambda self: not self.merged)
    @rule(winner=st.sampled_from(["a", "b"]), twice=st.booleans())
    def they_are_one(self, winner: str, twice: bool) -> None:
        self.is_looked_at()
        self.merged = True
        self.seqs[winner] += 1
        mode = self.journeys[-1].re_entry.mode
        self._freeze(mode)
        for _ in range(1 + twice):
            runs = [one.run for one in self.stored]
            self._pass_on(unite(self.journeys[-1], runs, winner, self.seqs[winner]))
            for one in self.stored:
                assert one.run.profile_id == winner

    def _freeze(self, mode: str) -> None:
        group = [one for one in self.stored if mode == "never" or not one.model.over]
        group.sort(key=lambda one: (-len(one.model.reached), one.model.entered, str(one.run.id)))
        for other in group[1:]:
            if not other.model.over:
                other.model.frozen = True
            if group[0].model.over is None:
                mine, his = group[0].model, other.model
                mine.spared[other.profile] = his.reached - mine.reached
                for whose, nodes in his.spared.items():
                    mine.spared.setdefault(whose, nodes - mine.reached)

    @precondition(lambda self: self.merged)
    @rule()
    def they_are_two(self) -> None:
        self.merged = False
        for one in self.stored:
            one.model.spared = {}
            if one.model.frozen:
                one.model.frozen = False
                one.model.catch_up()
            one.model.look()
            one.model.resume(self.hour)
        runs = [one.run for one in self.stored]
        for one in self.stored:
            own = self.journeys[-1]
            self._pass_on(divide(own, runs, {one.profile}, one.profile, self.person))
            assert one.run.profile_id == one.profile

    def _pass_on(self, told: Told) -> None:
        for run, facts in told:
            one = next(one for one in self.stored if one.run.id == run.id)
            for fact in facts:
                self.tell(one, fact)
                one.told.pop()

    # What has to be true

    @invariant()
    def each_step_has_one_effect(self) -> None:
        if not hasattr(self, "stored"):
            return
        ids = Counter(id_ for one in self.stored for id_ in one.actions)
        ids.update(id_ for one in self.stored for id_, _ in one.said)
        assert not ids or max(ids.values()) == 1
        for one in self.stored:
            assert one.asked == one.model.asked
            assert len(one.said) == len(one.model.said)
            assert one.goals == one.model.goals

    @invariant()
    def who_is_not_over_has_one_timer(self) -> None:
        for one in getattr(self, "stored", ()):
            if not one.run.is_over:
                assert one.last is not None
                assert (one.last.due_at, one.last.gen) == (one.run.wakes_at, one.run.gen)

    def teardown(self) -> None:
        """In the end, both stand where the model stands; and every run comes to an end."""
        if not hasattr(self, "stored"):
            return
        self.is_looked_at()
        self._fire_all()
        self._compare()
        if self.merged:
            self.they_are_two()
        if self.live.paused:
            self.is_paused_or_resumed()
        self.hour += 500
        self._fire_all()
        self._compare()
        assert all(one.run.is_over for one in self.stored)

    def _compare(self) -> None:
        for one in self.stored:
            run, model = one.run, one.model
            reason = run.reason
            if reason is not None and reason.startswith("exit: ") and len(reason) > len("exit: E"):
                reason = "exit: segment"
            if model.frozen:
                assert reason == "merged"
                continue
            assert reason == model.over
            assert (run.node, run.occurrence) == (model.at, model.step)
            if not run.is_over:
                assert run.version == model.version
            assert one.asked == model.asked


def test_a_run_does_what_the_naive_model_does() -> None:
    run_state_machine_as_test(
        Journeys, settings=settings(max_examples=200, stateful_step_count=40, deadline=None)
    )
