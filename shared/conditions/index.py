"""Which of many conditions hold for an event, without asking each of them.

Every condition is a bit. For an attribute, tables say which conditions its value satisfies; the
bits that survive all tables of the event's type are the candidates. Comparisons that every match
must pass (`eq ne in nin exists contains`, ranges and segments) go into the tables; a condition
made of nothing else is thereby decided exactly, any other is verified by its closure. A few
alternatives of one condition are bits of their own. The result is always the same as asking every
condition.

The bitmap form is in the family of matching by predicate counting (Yan and Garcia-Molina, 1994)
and of BE-Tree's bitmaps (Sadoghi and Jacobsen, 2011), with whole bit sets as Python integers.

An index is built once and never changed: build another one and swap it. A table of ranges with t
distinct bounds over n conditions of one event type takes about t * n / 4 bytes.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from shared.conditions.bitsets import bits, ones
from shared.conditions.closure import Holds, compile_normal
from shared.conditions.facts import Facts
from shared.conditions.normal import normal_form
from shared.conditions.tables import AttributeTable, SegmentTable
from shared.conditions.tree import All, Any, Compare, Condition, InSegment, Not

K = TypeVar("K")

# An entry with more alternatives than this is one row, to be verified.
MAX_ALTERNATIVES = 8


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
        self._alternatives: dict[int, int] = {}  # row -> the first row of its entry
        self._attributes: dict[str, AttributeTable] = {}
        self._segments = SegmentTable()
        for entry in entries:
            self._add(entry)
        self._everyone = (1 << len(self._keys)) - 1
        self._to_verify = bits(self._verify)
        self._to_join = bits(self._alternatives)
        tables: list[AttributeTable | SegmentTable] = [*self._attributes.values(), self._segments]
        self._narrow = [table.freeze(self._everyone) for table in tables]

    def match(self, facts: Facts) -> list[K]:
        """The keys of the entries that hold, in their order."""
        alive = self._everyone
        for narrow in self._narrow:
            alive = narrow(alive, facts)
            if not alive:
                return []
        if alive & self._to_join:
            alive = self._one_row_each(alive)
        doubtful = alive & self._to_verify
        if doubtful:
            verify = self._verify
            rows = ones(doubtful, range(len(self._keys)))
            alive ^= bits(row for row in rows if not verify[row](facts))
        return ones(alive, self._keys)

    def _add(self, entry: Entry[K]) -> None:
        first = len(self._keys)
        condition = normal_form(entry.condition) if entry.condition is not None else All(())
        alternatives = _alternatives(condition)
        rows = alternatives if alternatives is not None else [tuple(_conjuncts(condition))]
        decided = True
        for row, conjuncts in enumerate(rows, first):
            self._keys.append(entry.key)
            for conjunct in conjuncts:
                decided &= self._decides(row, conjunct)
            if len(rows) > 1:
                self._alternatives[row] = first
        if not decided:
            # Each row asks for the whole condition, so it does not matter which one is kept.
            holds = compile_normal(condition)
            self._verify.update(dict.fromkeys(range(first, len(self._keys)), holds))

    def _decides(self, row: int, conjunct: Condition) -> bool:
        match conjunct:
            case Compare(attr):
                table = self._attributes.get(attr)
                if table is None:
                    table = self._attributes[attr] = AttributeTable(attr)
                return table.add(row, conjunct)
            case InSegment() | Not():
                return self._segments.add(row, conjunct)
            case _:
                return False

    def _one_row_each(self, alive: int) -> int:
        """Without the further rows of an entry of which one row is alive already."""
        joined: set[int] = set()
        surplus: list[int] = []
        for row in ones(alive & self._to_join, range(len(self._keys))):
            first = self._alternatives[row]
            if first in joined:
                surplus.append(row)
            joined.add(first)
        return alive ^ bits(surplus)


def _conjuncts(condition: Condition) -> Iterable[Condition]:
    if isinstance(condition, All):
        for part in condition.parts:
            yield from _conjuncts(part)
    else:
        yield condition


def _alternatives(condition: Condition) -> list[tuple[Condition, ...]] | None:
    """The condition as alternatives, each a conjunction of leaves; None when these are too many."""
    match condition:
        case All(parts):
            found: list[tuple[Condition, ...]] = [()]
            for part in parts:
                more = _alternatives(part)
                if more is None or len(found) * len(more) > MAX_ALTERNATIVES:
                    return None
                found = [left + right for left in found for right in more]
            return found
        case Any(parts):
            found = []
            for part in parts:
                more = _alternatives(part)
                if more is None or len(found) + len(more) > MAX_ALTERNATIVES:
                    return None
                found += more
            return found
        case _:
            return [(condition,)]
