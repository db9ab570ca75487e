"""What the orchestrator's tables hold of people, in memory for one side of a rehearsal."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import NamedTuple, TypeVar
from uuid import UUID

from services.orchestrator.domain.effects import ActionRow, Effects
from services.orchestrator.domain.history import Contact, History, Households, Used
from services.orchestrator.domain.note_outcome import Told
from services.orchestrator.storage.profile_states import Locked
from services.orchestrator.use_cases.note_outcomes import told_of

Key = TypeVar("Key")

ROOM = 64
"""So many contacts of a household may be kept before those that are too old are looked for."""


class Windows(NamedTuple):
    """How long contacts and outcomes matter."""

    contacts: timedelta
    outcomes: timedelta


@dataclass(slots=True)
class Memory:
    """Everything that was done for people, up to an instant."""

    histories: dict[str, History] = field(default_factory=dict)
    locked: dict[str, Locked] = field(default_factory=dict)
    """Of people for whom something is under way: the snapshot, and the number of the last
    update."""
    seqs: dict[str, int] = field(default_factory=dict)
    """Of every profile that was answered: the number of the last update that was."""
    told: dict[UUID, Told] = field(default_factory=dict)
    named: dict[UUID, str] = field(default_factory=dict)
    """The profile that each action is of, whoever it is merged into: of a run the one that entered,
    of all others the one that the message names."""
    of_runs: set[UUID] = field(default_factory=set)
    """The actions that runs asked for."""
    bodies: dict[UUID, bytes] = field(default_factory=dict)
    homes: dict[UUID, str] = field(default_factory=dict)
    """Of each run that something may still happen to, the profile that entered."""
    households: Households = field(default_factory=dict)
    used: Used = field(default_factory=dict)
    lines: dict[tuple[str, str], datetime] = field(default_factory=dict)

    def history(
        self, person: str, household: str | None, windows: Windows, at: datetime
    ) -> History:
        """The history of a person as a decision at an instant sees it."""
        history = self.histories.get(person)
        if history is None:
            history = self.histories[person] = History(used=self.used)
        if household is not None:
            kept = self.households.setdefault(household, {})
            history.households[household] = kept
            if len(kept) > ROOM:
                _drop_old(kept, at - windows.contacts)
        since = at - windows.contacts
        if history.contacts and any(one.at <= since for one in history.contacts):
            history.contacts = [one for one in history.contacts if one.at > since]
        since = at - windows.outcomes
        if history.outcomes and history.outcomes[0].at <= since:
            history.outcomes = [one for one in history.outcomes if one.at > since]
        return history

    def keep(self, effects: Effects) -> None:
        """What was written at the end of a batch is known from now on; the histories are in step
        already."""
        for row in effects.actions:
            id_ = row.planned.action_id
            self.told.setdefault(id_, told_of(row))
            self.named[id_] = row.profile_id
            if row.planned.step is not None:
                self.of_runs.add(id_)
                self.named[id_] = self._home(row, row.planned.step.run, effects)
            if row.status == "pending":
                self.bodies[id_] = row.body
        for id_, change in effects.changes.items():
            told = self.told[id_]
            told.status = change.status
            if change.published_at is not None:
                told.published_at = change.published_at
                if id_ not in self.of_runs:
                    self.named[id_] = told.profile_id
            if change.status != "pending":
                self.bodies.pop(id_, None)
        for id_, at in (*effects.moved.items(), *effects.made.items()):
            self.told[id_].contact = replace(self.told[id_].contact, at=at)
        for id_ in effects.made:
            self.told[id_].released = False
        for id_ in effects.released:
            self.told[id_].released = True
        for id_, standing in effects.runs.items():
            if standing.watching:
                self.homes[id_] = standing.run.home
            else:
                self.homes.pop(id_, None)

    def _home(self, row: ActionRow, run: UUID, effects: Effects) -> str:
        """The profile that entered on the run that asked for an action."""
        standing = effects.runs.get(run)
        if standing is not None:
            return standing.run.home
        before = row.profile_id if row.instead_of is None else self.named[row.instead_of]
        return self.homes.get(run, before)

    def places(self, line: tuple[str, str], count: int, step: timedelta, at: datetime) -> datetime:
        """Take so many places of a line, one step apart; the first of them."""
        first = max(self.lines.get(line, at), at)
        self.lines[line] = first + count * step
        return first

    def absorb(self, loser: str, winner: str) -> None:
        """Everything that was done for the loser was done for the winner."""
        row = self.locked.pop(loser, None)
        if row is not None:
            self.locked.setdefault(winner, row)
        gone = self.histories.pop(loser, None)
        if gone is None:
            return
        for id_ in gone.acted:
            self.told[id_].profile_id = winner
        own = self.histories.setdefault(winner, History(used=self.used))
        _give(gone, own, gone.acted)
        for touchpoint, held in gone.held.items():
            own.held.setdefault(touchpoint, held)
        own.runs |= gone.runs
        own.past_runs += gone.past_runs
        _remember(own, gone)

    def part(self, back: str, root: str, members: Collection[str]) -> None:
        """What was done in the name of the profile that comes back is its own again; both sides
        remember entries and exits. `members` are the profiles that it stands for."""
        theirs = self.histories.get(root)
        if theirs is None:
            return
        own = self.histories.setdefault(back, History(used=self.used))
        ids = {id_ for id_ in theirs.acted if self.named[id_] in members}
        for id_ in ids:
            self.told[id_].profile_id = back
        _give(theirs, own, ids)
        theirs.acted -= ids
        for touchpoint in [one for one, held in theirs.held.items() if held.of in members]:
            own.held[touchpoint] = theirs.held.pop(touchpoint)
        for id_ in [one for one, it in theirs.runs.items() if it.run.home in members]:
            own.runs[id_] = theirs.runs.pop(id_)
        own.past_runs += [one for one in theirs.past_runs if one.home in members]
        theirs.past_runs = [one for one in theirs.past_runs if one.home not in members]
        _remember(own, theirs)
        snapshot = self.locked.get(root)
        if own.under_way and snapshot is not None:
            self.locked.setdefault(back, snapshot)
        if not theirs.under_way:
            self.locked.pop(root, None)

    def forget(self, person: str) -> list[UUID]:
        """Somebody is erased; which of their actions had got to their channel, and were not
        over."""
        history = self.histories.pop(person, None)
        self.locked.pop(person, None)
        if history is None:
            return []
        for id_ in list(history.in_flight):
            history.give_back(id_)
        for contacts in history.households.values():
            for id_ in history.acted:
                contacts.pop(id_, None)
        for id_ in history.acted:
            for known in (self.told, self.named, self.bodies):
                known.pop(id_, None)
            self.of_runs.discard(id_)
        for id_ in history.runs:
            self.homes.pop(id_, None)
        return [one.action_id for one in history.in_flight.values() if one.published]

    def fork(self) -> "Memory":
        """The same, to go on in another way; what is never changed itself is shared."""
        other = Memory(
            locked=dict(self.locked), seqs=dict(self.seqs), named=dict(self.named),
            bodies=dict(self.bodies), homes=dict(self.homes), used=dict(self.used),
            lines=dict(self.lines), of_runs=set(self.of_runs),
            households={name: dict(one) for name, one in self.households.items()},
            told={
                id_: replace(one, said=dict(one.said), known=set(one.known))
                for id_, one in self.told.items()
            },
        )  # fmt: skip
        other.histories = {who: _copy(one, other) for who, one in self.histories.items()}
        return other


def _copy(history: History, memory: Memory) -> History:
    return History(
        contacts=list(history.contacts),
        entries=dict(history.entries),
        exits=dict(history.exits),
        in_flight=dict(history.in_flight),
        acted=set(history.acted),
        outcomes=list(history.outcomes),
        households={name: memory.households[name] for name in history.households},
        held=dict(history.held),
        used=memory.used,
        uses=dict(history.uses),
        runs=dict(history.runs),
        past_runs=list(history.past_runs),
    )


def _give(giver: History, taker: History, ids: Collection[UUID]) -> None:
    """What is known of these actions goes over."""
    taker.acted |= set(ids)
    taker.contacts += [one for one in giver.contacts if one.action_id in ids]
    giver.contacts = [one for one in giver.contacts if one.action_id not in ids]
    taker.outcomes += [one for one in giver.outcomes if one.action_id in ids]
    taker.outcomes.sort(key=lambda one: one.at)
    giver.outcomes = [one for one in giver.outcomes if one.action_id not in ids]
    for id_ in [one for one in giver.in_flight if one in ids]:
        taker.in_flight[id_] = giver.in_flight.pop(id_)
    for id_ in [one for one in giver.uses if one in ids]:
        taker.uses[id_] = giver.uses.pop(id_)
    taker.households |= giver.households


def _remember(taker: History, giver: History) -> None:
    """The later of what both remember."""
    _later(taker.entries, giver.entries.items())
    _later(taker.exits, giver.exits.items())


def _later(known: dict[Key, datetime], more: Iterable[tuple[Key, datetime]]) -> None:
    for key, at in more:
        known[key] = max(at, known.get(key, at))


def _drop_old(contacts: dict[UUID, Contact], since: datetime) -> None:
    for id_ in [one.action_id for one in contacts.values() if one.at <= since]:
        del contacts[id_]
