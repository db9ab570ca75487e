"""Watches one side of a rehearsal: counts what is decided, and tells what became of each action."""

from collections.abc import Callable, Sequence
from datetime import datetime
from uuid import UUID

from services.orchestrator.domain.decide import Considered
from services.orchestrator.domain.effects import ActionRow, Change, Effects
from services.orchestrator.domain.journeys.counts import counts_of
from services.orchestrator.domain.note_outcome import Told
from services.orchestrator.domain.rehearsal.fates import Fate, Fates
from services.orchestrator.domain.rehearsal.tally import Tally
from services.orchestrator.domain.update import Moment
from services.orchestrator.use_cases.naming import action_ids

HELD = "held"


class Watch:
    """Hears of every decision while it is made (`Counting`), and after each step what it changed.
    Counts nothing before `counting` is set."""

    def __init__(self, side: int, fates: Fates) -> None:
        self.tally = Tally()
        self.counting = False
        self._side = side
        self._fates = fates
        self._judged: list[Considered] = []
        self.held: dict[str, tuple[str, tuple[str, ...]]] = {}
        self.firsts: dict[UUID, UUID] = {}
        """Of each fallback: the action it stands in for."""

    def begin_like(self, other: "Watch") -> None:
        """Know what the other one knows of what is under way."""
        self.held, self.firsts = dict(other.held), dict(other.firsts)

    def decided(
        self, moment: Moment | None, outcome: str, considered: Sequence[Considered] = ()
    ) -> None:
        """A decision was made about these candidates."""
        self._judged += considered
        if self.counting:
            self.tally.decisions += 1

    def heard(self, outcome: str, result: str) -> None:
        """A delivery event is counted by nobody here."""

    def stepped(self, effects: Effects, told: Callable[[UUID], Told | None], at: datetime) -> None:
        """Everything that a step changed. `told` knows each action."""
        judged, self._judged = self._judged, []
        for one in judged:
            self._consider(one, at)
        made = {row.planned.action_id: row for row in effects.actions}
        for id_, change in effects.changes.items():
            if id_ not in made:
                self._changed(told(id_), change, at)
        for id_, row in made.items():
            if row.planned.option:
                self.firsts[id_] = row.planned.first
            self._made(told(id_), row, at)
            if id_ in effects.changes:
                self._changed(told(id_), effects.changes[id_], at)
        if self.counting:
            for back in effects.taken_back.values():
                self.tally.withdrawn += back.reached != "pending"
                if back.reached == "pending":
                    self.tally.taken_back(back.reason)
            for note in effects.run_notes:
                for (node, kind, word), n in counts_of([note]).items():
                    name = f"{note.journey}/{node}" if node else note.journey
                    self.tally.by_node[f"{name}: {kind} {word}".rstrip()] += n
        self._hold(effects, judged, at)

    def _consider(self, one: Considered, at: datetime) -> None:
        """What waits for others is not decided yet; it comes once more."""
        rule, who = one.live.rule, one.situation.moment.profile_id
        held = one.drop is not None and one.drop.reason == HELD
        if self.counting and not held:
            self.tally.considered += 1
            if one.drop is not None:
                self.tally.stopped(one.drop.stage, one.drop.reason, one.drop.condition)
        planned = {action.index for action in one.planned}
        dropped = {choice.index: choice.dropped for choice in one.choices}
        for index in range(len(rule.actions)):
            if index in planned:
                continue
            drop = one.drop or next(iter(dropped.get(index, {}).values()), None)
            words = "" if drop is None else f"{drop.reason}: {drop.condition}"
            fate = Fate("waits") if held else Fate("nothing", words=words)
            self._tell(one.situation.action_id(rule.key, index, 0), fate, who, rule.key, at)

    def _made(self, told: Told | None, row: ActionRow, at: datetime) -> None:
        if told is not None and row.status == "pending":
            self._became(told, Fate("waits", told.contact.channel), at)
        elif told is not None:
            self._acted(told, at)

    def _changed(self, told: Told | None, change: Change, at: datetime) -> None:
        if told is None:
            return
        if change.published_at is not None:
            self._acted(told, at)
        elif change.status != "pending" and told.published_at is None:
            self._became(told, Fate("nothing", words=change.reason or ""), at)

    def _acted(self, told: Told, at: datetime) -> None:
        contact = told.contact
        if self.counting:
            self.tally.acted(contact.rule, contact.channel, told.profile_id)
        self._became(told, Fate("done", contact.channel), at)

    def _became(self, told: Told, fate: Fate, at: datetime) -> None:
        key = self.firsts.get(told.action_id, told.action_id)
        self._tell(key, fate, told.profile_id, told.contact.rule, at)

    def _hold(self, effects: Effects, judged: Sequence[Considered], at: datetime) -> None:
        """Candidates that waited for others, and whose reason ended meanwhile."""
        decided = {(one.situation.moment.cause.id, one.live.key) for one in judged}
        for (who, touchpoint), held in effects.held.items():
            _, before = self.held.pop(touchpoint, (who, ()))
            left = () if held is None else held.rules
            if held is not None:
                self.held[touchpoint] = (who, held.rules)
            for rule in before:
                if rule not in left and (touchpoint, rule) not in decided:
                    key = action_ids(touchpoint)(rule, 0, 0)
                    self._tell(key, Fate("nothing", words="exit"), who, rule, at)
                    if self.counting:
                        self.tally.taken_back("exit")

    def _tell(self, key: UUID, fate: Fate, who: str, rule: str, at: datetime) -> None:
        if self.counting:
            self._fates.note(self._side, key, fate, who, rule, at)
