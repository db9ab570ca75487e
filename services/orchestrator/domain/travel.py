"""The runs of one person on their way: what happens is told them, what they want is asked for them.

`advance` says what follows from one fact for one run. Here that is given its effects, and the facts
that follow are told in their turn: what a node wants is asked of the arbiter, and the answer told;
who is sent to another journey enters it. Pure but for `effects` and `history`.
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import timedelta
from uuid import UUID

from services.orchestrator.domain.action_ids import step_action_ids
from services.orchestrator.domain.decide import Considered, Question
from services.orchestrator.domain.drop import Drop
from services.orchestrator.domain.effects import Effects, RunNote, Said, Wait, retract
from services.orchestrator.domain.experiments.measure import Told
from services.orchestrator.domain.gates import Situation
from services.orchestrator.domain.history import InFlight
from services.orchestrator.domain.journey_set import BehindError
from services.orchestrator.domain.journeys.advance import advance
from services.orchestrator.domain.journeys.compared import exposures_of, goals_of
from services.orchestrator.domain.journeys.enter import Entry, enter
from services.orchestrator.domain.journeys.facts import (
    RUN,
    Advance,
    Answered,
    Entered,
    Fact,
    Happened,
    Jumped,
    Paused,
    Person,
    Queued,
    Wanted,
)
from services.orchestrator.domain.journeys.journey import SENT
from services.orchestrator.domain.journeys.live import LiveJourney
from services.orchestrator.domain.run import Run, Standing, Step
from services.orchestrator.domain.trigger_index import RuleSet
from services.orchestrator.domain.update import Moment, moment_with

ANSWERS: Mapping[str, str] = {
    "channel": "undeliverable",
    "consent": "no_consent",
    "cap": "capped",
    "quiet_hours": "quiet",
    "holdout": "held_out",
}
"""What a run is told of the stage at which its action stopped; of all others `refused`."""


class Travel:
    """The runs of the person of a situation. `retracts` are actions that were taken back, with the
    reasons, since they were last asked for."""

    def __init__(
        self, situation: Situation, ruleset: RuleSet, effects: Effects, decision_id: UUID
    ) -> None:
        self._situation = situation
        self._moment = situation.moment
        self._history = situation.history
        self._at = situation.at
        self._ruleset = ruleset
        self._effects = effects
        self._decision_id = decision_id
        self._wanted: list[tuple[UUID, Wanted]] = []
        self._retracts: list[tuple[UUID, str]] = []

    def happened(self) -> None:
        """The update of the situation is told to all runs."""
        moment, cause = self._moment, self._moment.cause
        historical = cause.historical or cause.backfill
        for standing in self._standings():
            seen = (moment.of, moment.seq, moment.facts, self._person(standing.cause))
            self.tell(standing.run.id, Happened(*seen, historical, moment.occurred))

    def enter(self, journeys: Iterable[LiveJourney]) -> None:
        """The update of the situation lets the person into these journeys, if they may."""
        moment = self._moment
        occurred = moment.occurred or self._at
        for journey in journeys:
            entry = Entry(
                profile_id=moment.profile_id,
                of=moment.of,
                seq=moment.seq,
                cause=moment.cause.id or f"{moment.of}/{moment.seq}",
                facts=moment.facts,
                occurred_at=occurred,
                received_at=moment.cause.received,
                historical=moment.cause.historical,
                backfill=moment.cause.backfill,
                hops=moment.cause.hops,
                later=self._history.exits,
            )
            self._enter(journey, entry, moment.kept_cause)

    def tell(self, run_id: UUID, fact: Fact) -> None:
        """Tell one run a fact; nothing happens without such a run. Raises BehindError."""
        standing = self._history.runs.get(run_id)
        if standing is None:
            return
        live = self._ruleset.journeys.live(standing.run.journey)
        if standing.run.version not in live.versions:
            raise BehindError(f"journey {live.key} version {standing.run.version}")
        self._take(standing, advance(live, standing.run, fact, self._at))

    def heard(self, action_id: UUID, answer: str) -> None:
        """What became of an action is told to the run that stands at it."""
        for standing in self._standings():
            person = self._person(standing.cause)
            self.tell(standing.run.id, Answered(action_id, answer, person))

    def questions(self) -> list[Question]:
        """What the runs want now, to be judged together; each is answered with `answered`."""
        wanted, self._wanted = self._wanted, []
        found = []
        for run_id, one in wanted:
            standing = self._history.runs[run_id]
            run = standing.run
            live = self._ruleset.journeys.rule(run.journey, run.version, one.node)
            ids = step_action_ids(one.action_id)
            step = Step(run.id, one.occurrence)
            moment = self._with(standing.cause)
            found.append(Question([live], Situation(moment, self._history, self._at, ids, step)))
        return found

    def answered(self, considered: Iterable[Considered]) -> None:
        """Tell the runs what was decided about what they wanted."""
        for one in considered:
            step = one.situation.step
            if step is None:
                continue
            standing = self._history.runs.get(step.run)
            if standing is None:
                continue
            action_id = one.situation.action_id(one.live.key, 0, 0)
            said = SENT if one.drop is None else ANSWERS.get(one.drop.stage, "refused")
            self.tell(step.run, Answered(action_id, said, self._person(standing.cause)))

    def take_retracts(self) -> list[tuple[UUID, str]]:
        """What was taken back since this was last asked."""
        taken, self._retracts = self._retracts, []
        return taken

    def has(self, run_id: UUID) -> bool:
        """Whether what happens can still matter to this run of the person."""
        return run_id in self._history.runs

    def person(self, run_id: UUID) -> Person:
        """The person as a run of theirs sees them now. Raises KeyError without such a run."""
        return self._person(self._history.runs[run_id].cause)

    def _enter(self, journey: LiveJourney, entry: Entry, cause: bytes) -> None:
        history = self._history
        earlier = [run for run in history.past_runs if run.journey == journey.key]
        earlier += [one.run for one in history.runs.values() if one.run.journey == journey.key]
        entered = enter(journey, entry, earlier, self._at)
        if isinstance(entered, Drop):
            self._note(None, journey.key, "refused", None, 0, entered.reason)
        elif entered is not None:
            self._begin(journey, entered, cause)

    def _begin(self, journey: LiveJourney, run: Run, cause: bytes) -> None:
        """The first step; of a crowd that is let in at once, each at their turn."""
        version = journey.versions[run.version].journey
        rate = version.rate if version.entry.kind in ("schedule", "api") else None
        self._history.runs[run.id] = Standing(run, cause)
        if rate is not None:
            self.tell(run.id, Paused())
        self.tell(run.id, Entered(self._person(cause)))
        if rate is not None and not self._effects.runs[run.id].run.is_over:
            self._queue(run, Queued("", 0, rate.interval, timedelta.max))

    def _queue(self, run: Run, one: Queued) -> None:
        self._effects.places.append(
            Wait(
                run.id, run.profile_id, run.journey, one.node, one.occurrence, one.interval,
                one.max_wait,
            )
        )  # fmt: skip

    def _take(self, before: Standing, advanced: Advance) -> None:
        """Give what follows from a fact its effects."""
        run, effects = advanced.run, self._effects
        after = Standing(run, before.cause, run.watches(self._at))
        if run.held is not None and run.held is not before.run.held:
            effects.pausing |= self._ruleset.journeys.live(run.journey).paused
        first = run.id not in effects.runs
        effects.runs[run.id] = after
        if after.watching:
            self._history.runs[run.id] = after
        else:
            self._history.runs.pop(run.id, None)
            self._history.past_runs.append(run)
        self._set_timer(advanced, first=first)
        for note in advanced.notes:
            self._note(run.id, run.journey, note.kind, note.node, note.occurrence, note.word)
        self._speak(run, advanced)
        if advanced.exposed or advanced.reached:
            self._compare(advanced)
        for back in advanced.taken_back:
            self._take_back(back.run, back.reason, back.action_id)
        self._wanted = [one for one in self._wanted if one[0] != run.id or not run.is_over]
        self._wanted += [(run.id, one) for one in advanced.wanted]
        for queued in advanced.queued:
            self._queue(run, queued)
        for jump in advanced.jumped:
            self._jump(after, jump)

    def _set_timer(self, advanced: Advance, *, first: bool) -> None:
        """Of the timers that a transaction sets for a run, only the last one can go off; `first`:
        there is none of the run yet."""
        timers = self._effects.timers
        if advanced.timers:
            if not first:
                mine = advanced.run.id
                timers[:] = [one for one in timers if one.kind != RUN or one.ref != mine]
            timers += advanced.timers

    def _note(
        self,
        run: UUID | None,
        journey: str,
        kind: str,
        node: str | None,
        occurrence: int,
        word: str,
    ) -> None:
        self._effects.run_notes.append(
            RunNote(run, journey, self._at, kind, node, occurrence, word)
        )

    def _speak(self, run: Run, advanced: Advance) -> None:
        """What the run says of the person, as events of Concert's own."""
        for said in advanced.traits:
            self._effects.said.append(
                Said(said.id, run.profile_id, self._at, TRAITS, said.traits, {}, run.hops + 1)
            )
        for one in advanced.emitted:
            self._effects.said.append(
                Said(one.id, run.profile_id, self._at, one.event, {}, one.properties, one.hops)
            )

    def _compare(self, advanced: Advance) -> None:
        """Note which arms the run took, and that the goal was reached, which counts for them."""
        run, moment = advanced.run, self._moment
        journey = self._ruleset.journeys.live(run.journey).versions[run.version].journey
        touchpoint = moment.cause.touchpoint or str(run.id)
        told = Told(run.profile_id, touchpoint, moment.of, moment.seq, self._at)
        self._effects.exposures += exposures_of(journey, advanced.exposed, told)
        self._effects.measured += goals_of(journey, advanced.reached, told)

    def _jump(self, standing: Standing, jump: Jumped) -> None:
        journey = self._ruleset.journeys.journeys.get(jump.journey)
        if journey is None:
            return  # it was archived, and nobody is in it any more
        moment, run = self._with(standing.cause), standing.run
        entry = Entry(
            profile_id=moment.profile_id,
            of=run.home if run.home in run.seqs else moment.of,
            seq=run.seqs.get(run.home, moment.seq),
            cause=str(jump.id),
            facts=moment.facts,
            occurred_at=self._at,
            hops=jump.hops,
        )
        self._enter(journey, entry, standing.cause)

    def _take_back(self, run: UUID, reason: str, action_id: UUID | None) -> None:
        for action in sorted(self._flying(run, action_id), key=lambda one: str(one.action_id)):
            self._retracts.append((action.action_id, reason))
            retract(
                self._effects,
                self._history,
                action,
                decision_id=self._decision_id,
                status="retracted",
                reason=reason,
            )

    def _flying(self, run: UUID, action_id: UUID | None) -> Collection[InFlight]:
        """What the run asked for and can still be taken back: all of it, or one action with what
        stands in for it."""
        return [
            one
            for one in self._history.in_flight.values()
            if one.step is not None
            and one.step.run == run
            and (action_id is None or action_id in (one.action_id, one.instead_of))
        ]

    def _standings(self) -> list[Standing]:
        runs = self._history.runs.values()
        return sorted(runs, key=lambda one: (one.run.entered_at, str(one.run.id)))

    def _with(self, cause: bytes) -> Moment:
        moment = self._moment
        if cause is moment.cause_json:
            return moment
        return moment_with(
            cause,
            profile_id=moment.profile_id,
            of=moment.of,
            seq=moment.seq,
            profile=moment.profile,
            profile_json=moment.profile_json,
            at=self._at,
        )

    def _person(self, cause: bytes) -> Person:
        moment = self._moment
        zone = self._ruleset.joint.zone_of(moment.profile).info
        return Person(self._with(cause).facts, zone)


TRAITS = "concert.traits"
"""The type of the event with which a journey says traits of a person."""
