"""Which of many conditions hold for an event, without asking each of them.

Every condition is a bit. For an attribute, tables say which conditions its value satisfies; the
bits that survive all tables of the event's type are the candidates. Comparisons that every match
must pass (the top conjunction of `eq ne in nin exists`, ranges and segments) go into the tables; a
condition made of nothing else is thereby decided exactly, any other is verified by its closure.
The result is always the same as asking every condition.

The bitmap form is in the family of matching by predicate counting (Yan and Garcia-Molina, 1994)
and of BE-Tree's bitmaps (Sadoghi and Jacobsen, 2011), with whole bit sets as Python integers.

An index is built once and never changed: build another one and swap it. A table of ranges with t
distinct bounds over n conditions of one event type takes about t * n / 4 bytes.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from shared.conditions.closure import Holds, compile_normal
from shared.conditions.facts import Facts
from shared.conditions.normal import normal_form
from shared.conditions.tables import AttributeTable, SegmentTable, bits
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

    def __init__(self, entries: Iterable[Entry[K]]) -> None:
        """Compile all entries; 10,000 of them take about a second."""
        by_type: defaultdict[str | None, list[Entry[K]]] = defaultdict(list)
        for entry in entries:
            by_type[entry.event_type].append(entry)
        self._any_type = _Bitmap(by_type.pop(None, []))
        self._by_type = {name: _Bitmap(group) for name, group in by_type.items()}

    def match(self, facts: Facts) -> list[K]:
        """The keys of the entries whose event type and condition hold for the facts: those of the
        event's type first, then those of any type, each in the order they were given."""
        bitmap = self._by_type.get(facts.event_type) if facts.event_type is not None else None
        found = bitmap.match(facts) if bitmap is not None else []
        return found + self._any_type.match(facts) if self._any_type.size else found


class _Bitmap(Generic[K]):
    """The entries of one event type as bits, the first entry lowest, and the tables over them."""

    def __init__(self, entries: list[Entry[K]]) -> None:
        self.size = len(entries)
        self._keys = [entry.key for entry in entries]
        self._everyone = (1 << self.size) - 1
        self._verify: dict[int, Holds] = {}
        self._attributes: dict[str, AttributeTable] = {}
        self._segments = SegmentTable()
        for bit, entry in enumerate(entries):
            if entry.condition is not None:
                self._add(bit, normal_form(entry.condition))
        self._to_verify = bits(self._verify)
        tables = [*self._attributes.values(), self._segments]
        self._narrow = [table.freeze(self._everyone) for table in tables]

    def match(self, facts: Facts) -> list[K]:
        """The keys of the entries that hold, in their order."""
        alive = self._everyone
        for narrow in self._narrow:
            alive = narrow(alive, facts)
            if not alive:
                return []
        doubtful = alive & self._to_verify
        if doubtful:
            verify = self._verify
            alive ^= bits(bit for bit in _ones(doubtful) if not verify[bit](facts))
        keys = self._keys
        return [keys[bit] for bit in _ones(alive)]

    def _add(self, bit: int, condition: Condition) -> None:
        # A list, so that every conjunct is taken in even after one that the tables cannot decide.
        decided = [self._decides(bit, conjunct) for conjunct in _conjuncts(condition)]
        if not all(decided):
            self._verify[bit] = compile_normal(condition)

    def _decides(self, bit: int, conjunct: Condition) -> bool:
        match conjunct:
            case Compare(attr):
                table = self._attributes.get(attr)
                if table is None:
                    table = self._attributes[attr] = AttributeTable(attr)
                return table.add(bit, conjunct)
            case InSegment() | Not():
                return self._segments.add(bit, conjunct)
            case _:
                return False


def _conjuncts(condition: Condition) -> Iterable[Condition]:
    if isinstance(condition, All):
        for part in condition.parts:
            yield from _conjuncts(part)
    else:
        yield condition


def _ones(mask: int) -> list[int]:
    # Searching the binary digits is faster than shifting a long integer once for each one.
    digits = bin(mask)[:1:-1]
    found: list[int] = []
    bit = digits.find("1")
    while bit >= 0:
        found.append(bit)
        bit = digits.find("1", bit + 1)
    return found
