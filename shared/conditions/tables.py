"""The tables of a condition index: from one value to the conditions that survive it, as bits.

A table is filled conjunct by conjunct and then frozen into lookups. It answers for known values
of one place only (an attribute, or the segments) and never evaluates a whole condition. A bit
stands at most once in a table; what finds its place taken is left to the caller to verify.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from shared.conditions.bitsets import bits
from shared.conditions.facts import Facts, Read, reader
from shared.conditions.parts import PartLookup
from shared.conditions.tree import Compare, InSegment, Not, Scalar
from shared.conditions.values import READERS, Kind, Reader, kind_of, read_operand

SPARSE = 256

Lookup = Callable[[Any], int]
Narrow = Callable[[int, Facts], int]

_RANGES = ("gt", "gte", "lt", "lte", "between")


@dataclass(frozen=True, slots=True)
class _Interval:
    """low and high None: open on that side. A bound belongs to it when its flag says so."""

    low: Any
    low_included: bool
    high: Any
    high_included: bool


class AttributeTable:
    """What the conditions of one event type ask of one attribute."""

    def __init__(self, attr: str) -> None:
        self._read: Read = reader(attr)
        self._absent: set[int] = set()
        self._present: set[int] = set()
        self._points: defaultdict[Kind, dict[int, frozenset[object]]] = defaultdict(dict)
        self._excluded: defaultdict[Kind, dict[int, frozenset[object]]] = defaultdict(dict)
        self._intervals: defaultdict[Kind, dict[int, _Interval]] = defaultdict(dict)
        self._parts: dict[int, Scalar] = {}

    def add(self, bit: int, leaf: Compare) -> bool:
        """Take in one conjunct; whether the table decides it exactly."""
        if leaf.op == "exists":
            (self._present if leaf.value else self._absent).add(bit)
            return True
        self._present.add(bit)  # every other comparison needs a value to be true
        if leaf.op in _RANGES:
            kind, interval = _interval(leaf)
            intervals = self._intervals[kind]
            before = intervals.get(bit)
            intervals[bit] = interval if before is None else _intersection(before, interval)
            return True
        if leaf.op in ("eq", "in"):
            kind, values = _operands(leaf)
            points = self._points[kind]
            points[bit] = points.get(bit, values) & values
            return True
        if leaf.op in ("ne", "nin"):
            kind, values = _operands(leaf)
            excluded = self._excluded[kind]
            excluded[bit] = excluded.get(bit, frozenset()) | values
            return True
        if leaf.op == "contains" and not isinstance(leaf.value, tuple):
            known = self._parts.setdefault(bit, leaf.value)
            return type(known) is type(leaf.value) and known == leaf.value
        return False

    def freeze(self, everyone: int) -> Narrow:
        """A function that clears the bits of what the facts' value does not satisfy."""
        if not self._parts:
            return self._freeze(everyone)
        narrow, parts = self._freeze(everyone), PartLookup(self._parts, everyone)
        read = self._read

        def narrow_by_parts(alive: int, facts: Facts) -> int:
            alive = narrow(alive, facts)
            return parts(alive, read(facts)) if alive else alive

        return narrow_by_parts

    def _freeze(self, everyone: int) -> Narrow:
        read = self._read
        when_absent = everyone & ~bits(self._present)
        when_present = everyone & ~bits(self._absent)
        lookups = list(self._lookups(everyone))
        if len(lookups) == 1:
            ((known_as, lookup, others),) = lookups

            def narrow_one(alive: int, facts: Facts) -> int:
                value = read(facts)
                if value is None:
                    return alive & when_absent
                known = known_as(value)
                return alive & when_present & (others if known is None else lookup(known))

            return narrow_one

        def narrow(alive: int, facts: Facts) -> int:
            value = read(facts)
            if value is None:
                return alive & when_absent
            alive &= when_present
            for known_as, lookup, others in lookups:
                known = known_as(value)
                alive &= others if known is None else lookup(known)
            return alive

        return narrow

    def _lookups(self, everyone: int) -> Iterable[tuple[Reader, Lookup, int]]:
        """For each kind of operand: how to read a value as that kind, from the value to what it
        satisfies, and what survives a value that is not of the kind."""
        for kind, points in self._points.items():
            others = everyone & ~bits(points)
            yield READERS[kind], _point_lookup(points, others, everyone), others
        for kind, excluded in self._excluded.items():
            yield READERS[kind], _exclusion_lookup(excluded, everyone), everyone & ~bits(excluded)
        for kind, intervals in self._intervals.items():
            others = everyone & ~bits(intervals)
            yield READERS[kind], _range_lookup(intervals, others), others


class SegmentTable:
    """Which segments the conditions of one event type ask for, and which they exclude."""

    def __init__(self) -> None:
        self._required: dict[int, str] = {}
        self._excluded: defaultdict[str, set[int]] = defaultdict(set)

    def add(self, bit: int, leaf: InSegment | Not) -> bool:
        """Take in one conjunct, `segment` or its negation; whether the table decides it."""
        if isinstance(leaf, InSegment):
            return self._required.setdefault(bit, leaf.segment) == leaf.segment
        if isinstance(leaf.part, InSegment):
            self._excluded[leaf.part.segment].add(bit)
            return True
        return False

    def freeze(self, everyone: int) -> Narrow:
        """A function that clears the bits of what the facts' segments do not satisfy."""
        others = everyone & ~bits(self._required)
        positions: defaultdict[str, list[int]] = defaultdict(list)
        for bit, segment in self._required.items():
            positions[segment].append(bit)
        required = {segment: bits(found) for segment, found in positions.items()}
        excluded = {segment: bits(found) for segment, found in self._excluded.items()}

        def narrow(alive: int, facts: Facts) -> int:
            satisfied, refused = others, 0
            for segment in facts.segments:
                satisfied |= required.get(segment, 0)
                refused |= excluded.get(segment, 0)
            return alive & satisfied & ~refused

        return narrow


def _operands(leaf: Compare) -> tuple[Kind, frozenset[object]]:
    kind = kind_of(leaf.value)
    values = leaf.value if isinstance(leaf.value, tuple) else (leaf.value,)
    return kind, frozenset(read_operand(value, kind) for value in values)


def _interval(leaf: Compare) -> tuple[Kind, _Interval]:
    kind = kind_of(leaf.value)
    if isinstance(leaf.value, tuple):
        low, high = (read_operand(bound, kind) for bound in leaf.value)
        return kind, _Interval(low, True, high, True)
    bound = read_operand(leaf.value, kind)
    if leaf.op in ("gt", "gte"):
        return kind, _Interval(bound, leaf.op == "gte", None, False)
    return kind, _Interval(None, False, bound, leaf.op == "lte")


def _intersection(a: _Interval, b: _Interval) -> _Interval:
    low, low_included = a.low, a.low_included
    if low is None or (b.low is not None and b.low > low):
        low, low_included = b.low, b.low_included
    elif b.low == low:
        low_included = a.low_included and b.low_included
    high, high_included = a.high, a.high_included
    if high is None or (b.high is not None and b.high < high):
        high, high_included = b.high, b.high_included
    elif b.high == high:
        high_included = a.high_included and b.high_included
    return _Interval(low, low_included, high, high_included)


def _positions(asked: dict[int, frozenset[object]]) -> dict[object, list[int]]:
    positions: defaultdict[object, list[int]] = defaultdict(list)
    for bit, values in asked.items():
        for value in values:
            positions[value].append(bit)
    return positions


def _point_lookup(asked: dict[int, frozenset[object]], others: int, everyone: int) -> Lookup:
    # A whole bit set for each value would take more room than the conditions when values are many
    # and each is asked for by few: those are kept as positions.
    table: dict[object, int | list[int]] = {
        value: others | bits(found) if len(found) * SPARSE > everyone.bit_length() else found
        for value, found in _positions(asked).items()
    }

    def lookup(known: object) -> int:
        found = table.get(known, others)
        return found if isinstance(found, int) else others | bits(found)

    return lookup


def _exclusion_lookup(asked: dict[int, frozenset[object]], everyone: int) -> Lookup:
    table = _positions(asked)

    def lookup(known: object) -> int:
        found = table.get(known)
        return everyone if found is None else everyone & ~bits(found)

    return lookup


def _range_lookup(asked: dict[int, _Interval], others: int) -> Lookup:
    """By bisection over all bounds b0 < b1 < …: region 2i is the gap below b(i), region 2i + 1 is
    b(i) itself. An interval covers a run of regions: its bit is switched on and off at the ends."""
    ends = (end for span in asked.values() for end in (span.low, span.high) if end is not None)
    bounds = sorted(set(ends))
    place = {bound: index for index, bound in enumerate(bounds)}
    switched = [0] * (2 * len(bounds) + 2)
    for bit, span in asked.items():
        first = 0 if span.low is None else 2 * place[span.low] + (1 if span.low_included else 2)
        last = len(switched) - 2
        if span.high is not None:
            last = 2 * place[span.high] + (1 if span.high_included else 0)
        if first <= last:
            switched[first] ^= 1 << bit
            switched[last + 1] ^= 1 << bit
    regions: list[int] = []
    covering = others
    for switch in switched[:-1]:
        covering ^= switch
        regions.append(covering)
    count = len(bounds)

    def lookup(known: object) -> int:
        index = bisect_left(bounds, known)
        return regions[2 * index + (index < count and bounds[index] == known)]

    return lookup
