"""What must hold after any crash, as checks that return the violations they find.

I1 every raw record is applied, a duplicate or dead, exactly once; each that is dead is one failed
event. I2 the profiles equal the
oracle's. I3 on `profile.updates` each profile's `seq` is contiguous from 1, first occurrences are
in order and equal `seq` means equal bytes. I4 the actions are the oracle's. I6 positions never go
back and reach the end of the log. I10 every offset is accounted for in every snapshot, and in the
end as what became of its record.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from tests.oracle.actions import CapBounds
from tests.oracle.profiles import ExpectedProfile
from tests.oracle.records import Event, Identifier, Position, RawRecord, Refusal, read

MOST_SHOWN = 20


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A dead letter with the position of the record it was."""

    origin: Position
    key: bytes | None
    value: bytes | None


@dataclass(frozen=True, slots=True)
class Update:
    """One message of `profile.updates`, in the order of its partition."""

    profile_id: str
    seq: int
    value: bytes


@dataclass(frozen=True, slots=True)
class LeaseState:
    """A lease row as one snapshot of the database showed it."""

    group: str
    topic: str
    partition: int
    base_offset: int
    next_offset: int
    applied: int
    deduped: int
    dead: int
    gaps: int


@dataclass(frozen=True, slots=True)
class Passed:
    """What became of the records of a topic at one hop; its lease rows have to say the same."""

    applied: int
    deduped: int
    dead: int


@dataclass(frozen=True, slots=True)
class Fates:
    """The raw records of a run: the events by id with all their copies, and the refused."""

    events: Mapping[str, Sequence[Event]]
    refused: Mapping[Position, RawRecord]


def fates(records: Iterable[RawRecord]) -> Fates:
    """Read every raw record once."""
    events: dict[str, list[Event]] = defaultdict(list)
    refused: dict[Position, RawRecord] = {}
    for record in records:
        reading = read(record)
        if isinstance(reading, Refusal):
            refused[record.position] = record
        else:
            events[reading.id].append(reading)
    return Fates(events, refused)


def first_copies(found: Fates) -> list[Event]:
    """One event for each id, in the order of the raw log."""
    return sorted((copies[0] for copies in found.events.values()), key=lambda one: one.position)


def each_record_has_one_fate(
    found: Fates,
    applied: Collection[tuple[str, Position]],
    duplicates: Collection[tuple[str, Position]],
    dead: Iterable[DeadLetter],
) -> list[str]:
    """I1. A dead letter of the stateless hop may repeat after a crash; its position counts once."""
    violations = [
        f"event {id_} applied {count} times"
        for id_, count in Counter(id_ for id_, _ in applied).items()
        if count > 1
    ]
    said = Counter(position for _, position in applied)
    said.update(position for _, position in duplicates)
    letters = {letter.origin: letter for letter in dead}
    said.update(letters.keys())
    copies = {copy.position: id_ for id_, all_ in found.events.items() for copy in all_}
    known = copies.keys() | found.refused.keys()
    violations += [f"{place} has {said[place]} fates" for place in known if said[place] != 1]
    violations += [f"{place} is no raw record" for place in said.keys() - known]
    for id_, position in (*applied, *duplicates):
        if copies.get(position) != id_:
            violations.append(f"{position} was taken for event {id_}, is {copies.get(position)}")
    for position, letter in letters.items():
        original = found.refused.get(position)
        if original is None:
            violations.append(f"{position} is dead but was valid")
        elif (letter.key, letter.value) != (original.key, original.value):
            violations.append(f"{position} is dead with other bytes")
    return _shown(violations)


def kept_once(dead: Iterable[DeadLetter], kept: Sequence[DeadLetter]) -> list[str]:
    """I1. However often a dead letter was written, one failed event has its bytes."""
    letters = {letter.origin: letter for letter in dead}
    rows = Counter(row.origin for row in kept)
    violations = [
        f"{place} is {rows[place]} failed events" for place in letters if rows[place] != 1
    ]
    violations += [
        f"{place} failed and is no dead letter" for place in rows.keys() - letters.keys()
    ]
    violations += [
        f"{row.origin} is kept with other bytes"
        for row in kept
        if row.origin in letters and row != letters[row.origin]
    ]
    return _shown(violations)


def profiles_equal(
    expected: Mapping[frozenset[Identifier], ExpectedProfile],
    observed: Sequence[ExpectedProfile],
    contested: Mapping[Identifier, Collection[Identifier]],
) -> list[str]:
    """I2. A contested identifier must be held by exactly one of those who claimed it."""
    violations = []
    seen: Counter[frozenset[Identifier]] = Counter()
    holders: dict[Identifier, list[frozenset[Identifier]]] = defaultdict(list)
    for profile in observed:
        own = frozenset(one for one in profile.identifiers if one not in contested)
        seen[own] += 1
        for one in profile.identifiers - own:
            holders[one].append(own)
        want = expected.get(own)
        if want is None:
            violations.append(f"profile nobody expected: {sorted(map(str, own))}")
        else:
            violations += _differences(want, profile)
    violations += [
        f"profile {sorted(map(str, own))} found {seen[own]} times"
        for own in expected
        if seen[own] != 1
    ]
    for one, claims in contested.items():
        held = holders[one]
        if len(held) != 1 or not held[0].intersection(claims):
            violations.append(f"contested {one} is held by {held}")
    return _shown(violations)


def _differences(want: ExpectedProfile, got: ExpectedProfile) -> list[str]:
    return [
        f"profile {sorted(map(str, want.identifiers))}: {name} is {getattr(got, name)!r}, "
        f"not {getattr(want, name)!r}"
        for name in ("touchpoints", "orders", "revenue", "first_seen_at", "last_seen_at", "traits")
        if getattr(want, name) != getattr(got, name)
    ]


def updates_in_order(partitions: Iterable[Sequence[Update]]) -> list[str]:
    """I3, over the whole of `profile.updates`, one sequence a partition."""
    violations = []
    home: dict[str, int] = {}
    for number, updates in enumerate(partitions):
        kept: dict[str, list[bytes]] = defaultdict(list)
        for update in updates:
            if home.setdefault(update.profile_id, number) != number:
                violations.append(f"profile {update.profile_id} is on two partitions")
            values = kept[update.profile_id]
            if update.seq == len(values) + 1:
                values.append(update.value)
            elif update.seq > len(values) + 1:
                violations.append(
                    f"profile {update.profile_id}: seq {update.seq} after {len(values)}"
                )
            elif values[update.seq - 1] != update.value:
                violations.append(f"profile {update.profile_id}: seq {update.seq} with other bytes")
    return _shown(violations)


def actions_equal(
    expected: Collection[str], observed: Iterable[str], capped: Iterable[CapBounds] = ()
) -> list[str]:
    """I4. The wire may carry an action twice with the same id, never one that was not due."""
    found = set(observed)
    free = set(expected)
    violations = []
    for bounds in capped:
        sent = found & bounds.allowed
        free |= bounds.allowed
        if not bounds.least <= len(sent) <= bounds.most:
            violations.append(f"{len(sent)} actions, not {bounds.least} to {bounds.most}")
    violations += [f"action {one} is missing" for one in set(expected) - found]
    violations += [f"action {one} was never due" for one in found - free]
    return _shown(violations)


def positions_advance(
    history: Iterable[LeaseState], ends: Mapping[tuple[str, str, int], int]
) -> list[str]:
    """I6: `history` holds every version of every lease row, in order.

    `ends` is the end of the log for each (group, topic, partition) that has to be read.
    """
    violations = []
    last: dict[tuple[str, str, int], int] = {}
    for state in history:
        place = (state.group, state.topic, state.partition)
        if state.next_offset < last.get(place, 0):
            violations.append(f"{place} went back from {last[place]} to {state.next_offset}")
        last[place] = state.next_offset
    violations += [
        f"{place} is at {last.get(place, 0)} of {end}"
        for place, end in ends.items()
        if last.get(place, 0) != end
    ]
    return _shown(violations)


def offsets_conserved(snapshots: Iterable[LeaseState]) -> list[str]:
    """I10: applied + deduped + dead + gaps = next offset - base offset, and no gap at all."""
    violations = []
    for state in snapshots:
        counted = state.applied + state.deduped + state.dead + state.gaps
        if counted != state.next_offset - state.base_offset:
            violations.append(f"{counted} records for {state}")
        if state.gaps:
            violations.append(f"{state.gaps} offsets skipped in {state}")
    return _shown(violations)


def raw_passed(found: Fates, topics: Iterable[str]) -> dict[str, Passed]:
    """What the intake must say of its topics: it deduplicates nothing."""
    valid = Counter(copy.position.topic for all_ in found.events.values() for copy in all_)
    refused = Counter(place.topic for place in found.refused)
    return {topic: Passed(valid[topic], 0, refused[topic]) for topic in topics}


def letters_passed(dead: Sequence[DeadLetter], topics: Iterable[str]) -> dict[str, Passed]:
    """What the role `failures` must say of the dead letters of these topics."""
    seen = Counter(letter.origin.topic for letter in dead)
    distinct = Counter(origin.topic for origin in {letter.origin for letter in dead})
    return {
        f"{topic}.dlq": Passed(distinct[topic], seen[topic] - distinct[topic], 0)
        for topic in topics
    }


def counts_equal(rows: Iterable[LeaseState], expected: Mapping[str, Passed]) -> list[str]:
    """I10, at the end: the counts of each topic, over all its partitions, are the true ones."""
    said: dict[str, Counter[str]] = {topic: Counter() for topic in expected}
    for row in rows:
        counts = said.setdefault(row.topic, Counter())
        counts.update(applied=row.applied, deduped=row.deduped, dead=row.dead)
    nothing = Passed(0, 0, 0)
    return _shown([
        f"{topic}: the rows say {dict(counts)}, it was {expected.get(topic, nothing)}"
        for topic, counts in said.items()
        if Passed(*(counts[name] for name in ("applied", "deduped", "dead")))
        != expected.get(topic, nothing)
    ])  # fmt: skip


def _shown(violations: list[str]) -> list[str]:
    if len(violations) <= MOST_SHOWN:
        return violations
    return [*violations[:MOST_SHOWN], f"and {len(violations) - MOST_SHOWN} more"]
