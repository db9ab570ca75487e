"""The tables of a condition index: from one value to the conditions that survive it, as bits.

A table is filled conjunct by conjunct and then frozen into lookups. It answers for known values
of one place only (an attribute, or the segments) and never evaluates a whole condition. What finds
its place in a table taken is left to the caller to verify.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import NamedTuple

from shared.conditions.bitsets import Lookup, bits
from shared.conditions.facts import Facts, Read, reader
from shared.conditions.parts import Parts
from shared.conditions.points import Points
from shared.conditions.ranges import Ranges
from shared.conditions.tree import Compare, InSegment
from shared.conditions.values import READERS, Kind, Reader, kind_of

Narrow = Callable[[int, Facts], int]


class _OfKind(NamedTuple):
    """How a value is read as one kind, what it satisfies as such, and what survives a value that
    is not of the kind."""

    known_as: Reader
    lookup: Lookup
    otherwise: int


class AttributeTable:
    """What the conditions of one event type ask of one attribute."""

    def __init__(self, attr: str) -> None:
        self._read: Read = reader(attr)
        self._absent: set[int] = set()
        self._present: set[int] = set()
        self._points: dict[Kind, Points] = {}
        self._ranges: dict[Kind, Ranges] = {}
        self._parts = Parts()

    def add(self, row: int, leaf: Compare) -> bool:
        """Take in one conjunct; whether the table decides it exactly."""
        if leaf.op == "exists":
            (self._present if leaf.value else self._absent).add(row)
            return True
        self._present.add(row)  # every other comparison needs a value to be true
        match leaf.op:
            case "eq" | "in" | "ne" | "nin":
                kind = kind_of(leaf.value)
                self._points.setdefault(kind, Points(kind)).add(row, leaf)
                return True
            case "gt" | "gte" | "lt" | "lte" | "between":
                return self._ranges_of(leaf).add(row, leaf)
            case "contains":
                return self._parts.add(row, leaf, wanted=True)
            case _:
                return False

    def refuse(self, row: int, leaf: Compare) -> bool:
        """Take in the negation of a conjunct; whether the table decides it exactly."""
        if leaf.op not in ("between", "contains"):
            return False
        self._present.add(row)
        if leaf.op == "between":
            return self._ranges_of(leaf).refuse(row, leaf)
        return self._parts.add(row, leaf, wanted=False)

    def freeze(self, everyone: int) -> Narrow:
        """A function that clears the bits of what the facts' value does not satisfy."""
        if self._parts.is_empty:
            return self._freeze(everyone)
        narrow, parts, read = self._freeze(everyone), self._parts.freeze(), self._read

        def narrow_by_parts(alive: int, facts: Facts) -> int:
            alive = narrow(alive, facts)
            return parts(alive, read(facts)) if alive else alive

        return narrow_by_parts

    def _ranges_of(self, leaf: Compare) -> Ranges:
        kind = kind_of(leaf.value)
        return self._ranges.setdefault(kind, Ranges(kind))

    def _freeze(self, everyone: int) -> Narrow:
        read = self._read
        when_absent = everyone & ~bits(self._present)
        when_present = everyone & ~bits(self._absent)
        kinds = list(self._kinds(when_present))
        if len(kinds) == 1:
            ((known_as, lookup, otherwise),) = kinds

            def narrow_one(alive: int, facts: Facts) -> int:
                value = read(facts)
                if value is None:
                    return alive & when_absent
                known = known_as(value)
                return alive & (otherwise if known is None else lookup(known))

            return narrow_one

        def narrow(alive: int, facts: Facts) -> int:
            value = read(facts)
            if value is None:
                return alive & when_absent
            alive &= when_present
            for known_as, lookup, otherwise in kinds:
                known = known_as(value)
                alive &= otherwise if known is None else lookup(known)
            return alive

        return narrow

    def _kinds(self, among: int) -> Iterator[_OfKind]:
        for kind in self._points.keys() | self._ranges.keys():
            asking = [some for some in (self._points.get(kind), self._ranges.get(kind)) if some]
            otherwise = among
            for some in asking:
                otherwise &= ~bits(some.rows)
            first, *second = (some.freeze(among) for some in asking)
            yield _OfKind(READERS[kind], _both(first, *second) if second else first, otherwise)


def _both(first: Lookup, second: Lookup) -> Lookup:
    return lambda known: first(known) & second(known)


class SegmentTable:
    """Which segments the conditions of one event type ask for, and which they exclude."""

    def __init__(self) -> None:
        self._required: dict[int, str] = {}
        self._excluded: defaultdict[str, set[int]] = defaultdict(set)

    def add(self, row: int, leaf: InSegment) -> bool:
        """Take in one conjunct; whether the table decides it."""
        return self._required.setdefault(row, leaf.segment) == leaf.segment

    def refuse(self, row: int, leaf: InSegment) -> bool:
        """Take in the negation of a conjunct; whether the table decides it."""
        self._excluded[leaf.segment].add(row)
        return True

    def freeze(self, everyone: int) -> Narrow:
        """A function that clears the bits of what the facts' segments do not satisfy."""
        others = everyone & ~bits(self._required)
        required: defaultdict[str, list[int]] = defaultdict(list)
        for row, segment in self._required.items():
            required[segment].append(row)
        asked = {
            segment: (bits(required.get(segment, ())), bits(self._excluded.get(segment, ())))
            for segment in required.keys() | self._excluded.keys()
        }

        def narrow(alive: int, facts: Facts) -> int:
            satisfied, refused = others, 0
            for segment in facts.segments:
                found = asked.get(segment)
                if found is not None:
                    satisfied |= found[0]
                    refused |= found[1]
            return alive & satisfied & ~refused

        return narrow
