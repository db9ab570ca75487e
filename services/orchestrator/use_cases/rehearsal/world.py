"""One configuration in a world of its own: recorded updates go in, and virtual time goes by.

Decisions are made by the very functions that the worker and the poller call; what they read from
tables is in memory here, and what they would write stays there. Nothing is published.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from heapq import heappop, heappush
from uuid import UUID

import msgspec

from services.orchestrator.domain.effects import CLOSE, EXPIRE, RELEASE, Effects
from services.orchestrator.domain.gates import Situation
from services.orchestrator.domain.history import History
from services.orchestrator.domain.journeys.facts import RESUME, RUN
from services.orchestrator.domain.outcome import standing
from services.orchestrator.domain.release import close
from services.orchestrator.domain.timer import Timer
from services.orchestrator.domain.travel import Travel
from services.orchestrator.domain.trigger_index import RuleSet
from services.orchestrator.domain.update import Moment, Routed
from services.orchestrator.domain.window import ARBITRATE, first_end
from services.orchestrator.storage.histories import Histories
from services.orchestrator.storage.profile_states import Locked
from services.orchestrator.storage.timers import Fired
from services.orchestrator.use_cases.absorb_profile import Parting
from services.orchestrator.use_cases.answer_one import answer_one, ask, tell_more
from services.orchestrator.use_cases.end_windows import asked_in_window, end_one
from services.orchestrator.use_cases.link_runs import tell_linked
from services.orchestrator.use_cases.naming import action_ids, turn_decision_id
from services.orchestrator.use_cases.note_outcomes import Outcomes
from services.orchestrator.use_cases.rehearsal.family import Family, Moved
from services.orchestrator.use_cases.rehearsal.memory import Memory, Windows
from services.orchestrator.use_cases.rehearsal.watch import Watch
from services.orchestrator.use_cases.release_due import close_one, release_one
from services.orchestrator.use_cases.report import Counting
from services.orchestrator.use_cases.run_due import resume_one, tell_run, wake_one
from services.orchestrator.use_cases.seen_people import SeenPeople
from services.orchestrator.use_cases.take_turns import give_places, left_over
from services.orchestrator.use_cases.timer_round import in_flight, last_seen, situation_in
from shared import ids
from shared.contracts.delivery import event_type
from shared.contracts.times import rfc3339
from shared.contracts.topics import OWN_SOURCE

EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class _Firing:
    """What timers need for their effects (`Firing`)."""

    ruleset: RuleSet
    at: datetime
    locked: Mapping[str, Locked]
    histories: Histories
    effects: Effects
    report: Counting


class World:
    """One side. `windows` says how long the past matters; what happens is told to `watch`."""

    def __init__(
        self,
        ruleset: RuleSet,
        family: Family,
        watch: Watch,
        windows: Windows,
        memory: Memory | None = None,
        heap: Sequence[tuple[datetime, int, Timer]] = (),
    ) -> None:
        self._ruleset = ruleset
        self._family = family
        self._watch = watch
        self._windows = windows
        self.memory = Memory() if memory is None else memory
        self._heap = list(heap)
        self._number = max((number for _, number, _ in self._heap), default=0)

    @property
    def size(self) -> int:
        """How many people, actions and timers are kept."""
        return len(self.memory.histories) + len(self.memory.told) + len(self._heap)

    def fork(self, ruleset: RuleSet, watch: Watch, windows: Windows) -> "World":
        """The same past, to go on under another configuration."""
        memory = self.memory.fork()
        return World(ruleset, self._family, watch, windows, memory, self._heap)

    def concerns(self, update: Routed, person: str) -> bool:
        """Whether an update that is new may be of consequence."""
        memory = self.memory
        return update.seq > memory.seqs.get(update.profile_id, 0) and (
            person in memory.locked or self._ruleset.concerns(update)
        )

    def answer(self, moment: Moment, at: datetime) -> None:
        """Answer an update at an instant, as the worker does."""
        self.memory.seqs[moment.of] = moment.seq
        self._hear(moment, at)

    def link(self, moved: Moved, update: Routed, moment: Moment, at: datetime) -> None:
        """Make one person of two, or two of one; their runs hear of it first."""
        memory = self.memory
        for back, root in moved.parted:
            memory.part(back, root, self._family.members(back))
            history = memory.histories.get(back)
            if history is not None and history.held:
                self._set(first_end(history, back))
        for loser, winner in moved.absorbed:
            memory.absorb(loser, winner)
        persons = [winner for _, winner in moved.absorbed]
        self._tell_runs(moved.parted, persons, update, moment, at)

    def forget(self, person: str) -> None:
        """Somebody is erased."""
        withdrawn = self.memory.forget(person)
        if self._watch.counting:
            self._watch.tally.withdrawn += len(withdrawn)

    @property
    def next_due(self) -> datetime | None:
        """When the next timer is due."""
        return self._heap[0][0] if self._heap else None

    def fire_until(self, until: datetime) -> None:
        """Fire what is due by then, each timer at its instant."""
        while self._heap and self._heap[0][0] <= until:
            due_at, number, timer = heappop(self._heap)
            person = self._owner(timer)
            if person in self.memory.locked:
                self._fire(Fired(due_at, number, timer.kind, person, timer.ref, timer.gen), due_at)

    def _hear(self, moment: Moment, at: datetime) -> None:
        person, memory, ruleset = moment.profile_id, self.memory, self._ruleset
        history = memory.history(person, moment.profile.household, self._windows, at)
        asked, effects = ask(moment, ruleset, at), self._effects()
        noting = Outcomes(memory.told, ruleset, effects, self._watch)
        situation = Situation(moment, history, at, asked.action_id)
        seen = SeenPeople(memory.locked, at).see(moment)
        answer_one(asked, situation, noting, ruleset, effects, self._watch, seen=seen)
        self._end(effects, moment, at)

    def _effects(self) -> Effects:
        ruleset = self._ruleset
        return Effects(connected=ruleset.connected, scarce=bool(ruleset.resources), silent=True)

    def _end(self, effects: Effects, moment: Moment, at: datetime) -> None:
        self._show(moment)
        firing = self._firing(effects, at)
        self._take_turns(firing)
        self._keep(firing, moment.profile_id)

    def _show(self, moment: Moment) -> None:
        """The snapshot of somebody for whom something is under way: their own, else a better one
        than none."""
        person, memory = moment.profile_id, self.memory
        history = memory.histories.get(person)
        if history is None or not history.under_way:
            return
        before = memory.locked.get(person)
        if moment.is_of_winner or before is None or before.snapshot is None:
            seq = moment.seq if moment.is_of_winner else 0
            memory.locked[person] = Locked(None, history.under_way, seq, moment.profile_json)

    def _firing(self, effects: Effects, at: datetime) -> _Firing:
        memory = self.memory
        return _Firing(self._ruleset, at, memory.locked, memory.histories, effects, self._watch)

    def _take_turns(self, firing: _Firing) -> None:
        """Give a place to every run that wants one, until none does."""

        def go_on(person: str, run: UUID, tell: Callable[[Travel], None]) -> None:
            tell_run(firing, person, run, turn_decision_id(run, firing.at), tell)

        effects = firing.effects
        while effects.places:
            waiting, effects.places = effects.places, []
            counts: dict[tuple[str, str], int] = {}
            for one in waiting:
                line = (one.journey, one.node)
                counts[line] = counts.get(line, 0) + 1
            steps = {(one.journey, one.node): one.interval for one in waiting}
            first = {
                line: self.memory.places(line, count, steps[line], firing.at)
                for line, count in counts.items()
            }
            for line, time in left_over(waiting, first, firing.at).items():
                self.memory.lines[line] -= time
            give_places(waiting, first, effects, firing.histories, firing.at, go_on)

    def _keep(self, firing: _Firing, person: str) -> None:
        """What a step changed is known from now on."""
        effects, memory = firing.effects, self.memory
        memory.keep(effects)
        for timer in effects.timers:
            self._set(timer)
        history = memory.histories.get(person)
        if history is None or not history.under_way:
            memory.locked.pop(person, None)
        self._watch.stepped(effects, memory.told.get, firing.at)

    def _set(self, timer: Timer) -> None:
        self._number += 1
        heappush(self._heap, (timer.due_at, self._number, timer))

    def _owner(self, timer: Timer) -> str:
        """The person that a timer is of now."""
        memory = self.memory
        if timer.kind in (RUN, RESUME):
            return self._family.of(memory.homes.get(timer.ref, timer.profile_id))
        if timer.kind == ARBITRATE:
            return self._family.of(timer.profile_id)
        told = memory.told.get(timer.ref)
        return self._family.of(timer.profile_id) if told is None else told.profile_id

    def _fire(self, timer: Fired, at: datetime) -> None:
        memory = self.memory
        firing = self._firing(self._effects(), at)
        memory.history(timer.profile_id, None, self._windows, at)
        match timer.kind:
            case kind if kind == RELEASE:
                release_one(firing, timer, memory.bodies)
            case kind if kind == CLOSE:
                told = memory.told.get(timer.ref)
                if told is not None:  # else its person was erased
                    close_one(firing, timer, silent=standing(told.said).response is None)
            case kind if kind == ARBITRATE:
                end_one(firing, timer, asked_in_window(firing, timer.profile_id))
            case kind if kind == EXPIRE:
                self._expire(firing, timer)
            case kind if kind == RUN:
                wake_one(firing, timer)
            case _:
                resume_one(firing, timer)
        self._take_turns(firing)
        self._keep(firing, timer.profile_id)

    def _expire(self, firing: _Firing, timer: Fired) -> None:
        """A task that nobody did: the event that says so comes round at once, with the id it would
        have."""
        action = in_flight(firing, timer)
        if action is None:
            return
        id_ = ids.touchpoint_id(OWN_SOURCE, f"{timer.ref}:{EXPIRED}")
        cause = msgspec.json.encode(
            {
                "id": str(id_), "kind": "track", "source": OWN_SOURCE, "channel": action.channel,
                "type": event_type(action.channel, EXPIRED),
                "occurred_at": rfc3339(firing.at), "received_at": rfc3339(firing.at),
                "properties": {"action_id": str(timer.ref)},
            }
        )  # fmt: skip
        row = firing.locked[timer.profile_id]
        moment = last_seen(row, timer.profile_id, cause, firing.at)
        noting = Outcomes(self.memory.told, self._ruleset, firing.effects, self._watch)
        asked = ask(moment, self._ruleset, firing.at)
        history = firing.histories[timer.profile_id]
        situation = Situation(moment, history, firing.at, asked.action_id)
        effects = firing.effects
        answer_one(asked, situation, noting, self._ruleset, effects, self._watch, seen=moment)
        if in_flight(firing, timer) is not None:
            close(action, situation_in(firing, action, timer.profile_id), firing.effects)

    def _tell_runs(
        self,
        parted: Sequence[Parting],
        joined: Sequence[str],
        update: Routed,
        moment: Moment,
        at: datetime,
    ) -> None:
        """Runs hear of merges and splits before anything else of the update."""
        histories = self.memory.histories
        sides = {self._family.of(profile_id) for pair in parted for profile_id in pair}
        concerned: dict[str, History] = {
            one: histories[one] for one in (*joined, *sides) if one in histories
        }
        if not any(history.runs for history in concerned.values()):
            return
        effects = self._effects()

        def tell(person: str, say: Callable[[Travel], None]) -> None:
            history = histories.get(person)
            if history is not None:
                shown = msgspec.structs.replace(moment, profile_id=person)
                situation = Situation(shown, history, at, action_ids(""))
                tell_more(situation, UUID(person), say, self._ruleset, effects, self._watch)

        known = {one: self.memory.seqs.get(one, 0) for one in (*concerned, update.profile_id)}
        tell_linked(concerned, {*joined} - sides, sides, known, self._ruleset, tell)
        self._end(effects, moment, at)
