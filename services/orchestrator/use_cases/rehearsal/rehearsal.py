"""Two configurations side by side over recorded updates: what is in force, and a draft instead.

Until the beginning there is one world: the past that both have in common, gone through and not
counted. From then on each update is answered in both, at the same virtual instant.
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

import msgspec

from services.orchestrator.domain.rehearsal.fates import DRAFT, LIVE, Changed, Fates
from services.orchestrator.domain.rehearsal.tally import beside
from services.orchestrator.domain.trigger_index import RuleSet
from services.orchestrator.domain.update import Routed, read_moment, routed_decoder
from services.orchestrator.use_cases.rehearsal.family import Family
from services.orchestrator.use_cases.rehearsal.memory import Windows
from services.orchestrator.use_cases.rehearsal.watch import Watch
from services.orchestrator.use_cases.rehearsal.world import World
from shared.contracts.times import rfc3339
from shared.kafka.records import Record

TICK = timedelta(microseconds=1)
LOOK_EVERY = 64
"""After so many updates it is looked at how much is kept."""


class TooLarge(Exception):  # noqa: N818 - said to who asked
    """More is going on in the period than fits into memory."""


class Rehearsal:
    """Takes the updates of a period in order. `begins` is the first instant that counts; people who
    are `erased` are left out. Keeps at most `room` people, actions and timers of each side."""

    def __init__(
        self,
        live: RuleSet,
        draft: RuleSet,
        *,
        begins: datetime,
        erased: Collection[str] = (),
        room: int,
    ) -> None:
        self._rulesets = (live, draft)
        self._begins = begins
        self._room = room
        self._fates = Fates()
        self._family = Family(erased)
        self._watches = (Watch(LIVE, self._fates), Watch(DRAFT, self._fates))
        self.worlds = [World(live, self._family, self._watches[LIVE], _longest(live, draft))]
        self._taken = 0
        self._updates = 0
        self._unreadable = 0

    def take(self, record: Record, at: datetime) -> None:
        """The next update, at its instant; never before the one before it. Raises TooLarge."""
        self._pass_time(at)
        self._taken += 1
        self._updates += self._counts
        if not self._taken % LOOK_EVERY:
            self._check_room()
        try:
            update = routed_decoder.decode(record.value or b"")
            if self._family.is_erased(update.profile_id):
                return
            if update.erases:
                self._forget(update)
            else:
                self._answer(record, update, at)
        except (msgspec.DecodeError, ValueError):
            self._unreadable += 1

    def end(self, at: datetime) -> None:
        """The period is over: nothing that is due later is done any more."""
        self._pass_time(at)
        self._fates.end()

    def counts(self) -> dict[str, Any]:
        """Everything that was counted, on both sides."""
        found = beside(self._watches[LIVE].tally, self._watches[DRAFT].tally)
        return {"updates": self._updates, "unreadable": self._unreadable, **found}

    @property
    def changed_total(self) -> int:
        """How many people something is different for."""
        return self._fates.total

    def changed(self) -> list[dict[str, Any]]:
        """The first of them, with what is different and why."""
        return [_shown(one) for one in self._fates.changed]

    @property
    def _counts(self) -> bool:
        return len(self.worlds) > 1

    def _pass_time(self, at: datetime) -> None:
        if not self._counts and at >= self._begins:
            self.worlds[LIVE].fire_until(self._begins - TICK)
            self._fork()
        while due := [one for world in self.worlds if (one := world.next_due) is not None]:
            if (instant := min(due)) > at:
                return
            for world in self.worlds:
                world.fire_until(instant)
            self._fates.settle()

    def _fork(self) -> None:
        live, draft = self._rulesets
        before = self.worlds[LIVE]
        self.worlds = [
            before.fork(live, self._watches[LIVE], _windows(live)),
            before.fork(draft, self._watches[DRAFT], _windows(draft)),
        ]
        self._watches[DRAFT].begin_like(self._watches[LIVE])
        for one in self._watches:
            one.counting = True

    def _forget(self, update: Routed) -> None:
        for gone in sorted(self._family.erase(update.profile_id)):
            for world in self.worlds:
                world.forget(gone)

    def _answer(self, record: Record, update: Routed, at: datetime) -> None:
        family, moment = self._family, None
        if update.links:
            moved = family.believe(update)
            moment = read_moment(record.value or b"", update, family.of(update.profile_id), at)
            for world in self.worlds:
                world.link(moved, update, moment, at)
        person = family.of(update.profile_id)
        for world in self.worlds:
            if world.concerns(update, person):
                moment = moment or read_moment(record.value or b"", update, person, at)
                world.answer(moment, at)
        if moment is not None:
            self._fates.settle()

    def _check_room(self) -> None:
        if max(world.size for world in self.worlds) + self._fates.waiting > self._room:
            raise TooLarge(f"more than {self._room:,} people, actions and timers at once")


def warm_up(live: RuleSet, draft: RuleSet) -> timedelta:
    """How much of the past matters to the first decision that counts, as far as caps and
    suppressions say."""
    return max(_longest(live, draft))


def _windows(ruleset: RuleSet) -> Windows:
    return Windows(ruleset.longest_window, ruleset.joint.outcome_window)


def _longest(live: RuleSet, draft: RuleSet) -> Windows:
    return Windows(*map(max, _windows(live), _windows(draft)))


def _shown(one: Changed) -> dict[str, Any]:
    return {
        "profile_id": one.who,
        "why": one.differences[0].why(),
        "total": one.total,
        "differences": [
            {
                "rule": each.rule,
                "at": rfc3339(each.at),
                "live": each.live.said(),
                "draft": each.draft.said(),
                "why": each.why(),
            }
            for each in one.differences
        ],
    }
