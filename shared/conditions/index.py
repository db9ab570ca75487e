"""Which of many conditions hold for an event, without asking each of them.

Every condition is a bit. For an attribute, tables say which conditions its value satisfies; the
bits that survive all tables of the event's type are the candidates. Comparisons that every match
must pass (`eq ne in nin exists contains`, ranges, segments, and the negations of these) go into the
tables; a condition made of nothing else is thereby decided exactly, any other is verified by its
closure. A few alternatives of one condition are bits of their own. The result is always the same
as asking every condition.

The bitmap form is in the family of matching by predicate counting (Yan and Garcia-Molina, 1994)
and of BE-Tree's bitmaps (Sadoghi and Jacobsen, 2011), with whole bit sets as Python integers.

An index is built once and never changed: build another one and swap it. A table of ranges with t
distinct bounds over n conditions of one event type takes about t * n / 4 bytes.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from shared.conditions.alternatives import Groups, alternatives
from shared.conditions.bitsets import bits, ones
from shared.conditions.closure import Holds, compile_normal
from shared.conditions.facts import Facts
from shared.conditions.normal import normal_form
from shared.conditions.tables import AttributeTable, SegmentTable
from shared.conditions.tree import All, Compare, Condition, InSegment, Not

K = TypeVar("K")


@dataclass(frozen=True, slots=True)
class Entry(Generic[K]):
    """One condition to route to: `event_type` None means any event, `condition` None always."""

    key: K
    event_type: str | None
    condition: Condition | None


class ConditionIndex(Generic[K]):
    """The entries that hold for facts, found by event type and bitmaps."""

    def __init__(
        self, entries: Iterable[Entry[K]], before: "ConditionIndex[K] | None" = None
    ) -> None:
        """Compile all entries; 10,000 of them take about a second. Event types whose entries are
        the same as in `before` are taken from there."""
        by_type: defaultdict[str | None, list[Entry[K]]] = defaultdict(list)
        for entry in entries:
            by_type[entry.event_type].append(entry)
        known = {} if before is None else before.by_type
        self._any_type = _Bitmap(by_type.pop(None, []))
        self.by_type: dict[str | None, _Bitmap[K]] = {
            name: found
            if (found := known.get(name)) is not None and found.entries == group
            else _Bitmap(group)
            for name, group in by_type.items()
        }

    def match(self, facts: Facts) -> list[K]:
        """The keys of the entries whose event type and condition hold for the facts: those of the
        event's type first, then those of any type, each in the order they were given."""
        bitmap = self.by_type.get(facts.event_type) if facts.event_type is not None else None
        found = bitmap.match(facts) if bitmap is not None else []
        return found + self._any_type.match(facts) if self._any_type.size else found


class _Bitmap(Generic[K]):
    """The entries of one event type as rows of bits, the first lowest, and the tables over them.

    An entry is one row, or one row for each of its alternatives, next to each other.
    """

    def __init__(self, entries: list[Entry[K]]) -> None:
        self.entries = entries
        self.size = len(entries)
        self._keys: list[K] = []
        self._verify: dict[int, Holds] = {}
        self._runs: list[range] = []
        self._attributes: dict[str, AttributeTable] = {}
        self._segments = SegmentTable()
        for entry in entries:
            self._add(entry)
        self._everyone = (1 << len(self._keys)) - 1
        self._to_verify = bits(self._verify)
        self._groups = Groups(self._runs)
        tables: list[AttributeTable | SegmentTable] = [*self._attributes.values(), self._segments]
        self._narrow = [table.freeze(self._everyone) for table in tables]

    def match(self, facts: Facts) -> list[K]:
        """The keys of the entries that hold, in their order."""
        alive = self._everyone
        for narrow in self._narrow:
            alive = narrow(alive, facts)
            if not alive:
                return []
        alive = self._groups.first_of_each(alive)
        doubtful = alive & self._to_verify
        if doubtful:
            verify = self._verify
            rows = ones(doubtful, range(len(self._keys)))
            alive ^= bits(row for row in rows if not verify[row](facts))
        return ones(alive, self._keys)

    def _add(self, entry: Entry[K]) -> None:
        first = len(self._keys)
        condition = normal_form(entry.condition) if entry.condition is not None else All(())
        rows = alternatives(condition) or [tuple(_conjuncts(condition))]
        decided = True
        for row, conjuncts in enumerate(rows, first):
            self._keys.append(entry.key)
            for conjunct in conjuncts:
                decided &= self._decides(row, conjunct)
        if len(rows) > 1:
            self._runs.append(range(first, len(self._keys)))
        if not decided:
            self._verify[first] = compile_normal(condition)

    def _decides(self, row: int, conjunct: Condition) -> bool:
        match conjunct:
            case Compare(attr):
                return self._table(attr).add(row, conjunct)
            case Not(Compare(attr) as part):
                return self._table(attr).refuse(row, part)
            case InSegment():
                return self._segments.add(row, conjunct)
            case Not(InSegment() as part):
                return self._segments.refuse(row, part)
            case _:
                return False

    def _table(self, attr: str) -> AttributeTable:
        table = self._attributes.get(attr)
        if table is None:
            table = self._attributes[attr] = AttributeTable(attr)
        return table


def _conjuncts(condition: Condition) -> Iterable[Condition]:
    if isinstance(condition, All):
        for part in condition.parts:
            yield from _conjuncts(part)
    else:
        yield condition
