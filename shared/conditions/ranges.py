"""Which conditions a value satisfies that ask where it lies: above, below, between or outside."""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from shared.conditions.bitsets import Lookup, bits
from shared.conditions.tree import Compare
from shared.conditions.values import Kind, read_operand


@dataclass(frozen=True, slots=True)
class _Interval:
    """low and high None: open on that side. A bound belongs to it when its flag says so."""

    low: Any
    low_included: bool
    high: Any
    high_included: bool


class Ranges:
    """The rows that ask `gt`, `gte`, `lt`, `lte`, `between` or its negation of one attribute, with
    operands of one kind. A row asks for an interval or refuses one."""

    def __init__(self, kind: Kind) -> None:
        self._kind: Kind = kind
        self._wanted: dict[int, _Interval] = {}
        self._refused: dict[int, _Interval] = {}

    @property
    def rows(self) -> Iterator[int]:
        """The rows that ask."""
        yield from self._wanted
        yield from self._refused

    def add(self, row: int, leaf: Compare) -> bool:
        """Take in one comparison; whether it found its place."""
        if row in self._refused:
            return False
        interval = self._interval(leaf)
        before = self._wanted.get(row)
        self._wanted[row] = interval if before is None else _intersection(before, interval)
        return True

    def refuse(self, row: int, leaf: Compare) -> bool:
        """Take in the negation of a `between`; whether it found its place."""
        if row in self._wanted:
            return False
        interval = self._interval(leaf)
        return self._refused.setdefault(row, interval) == interval

    def freeze(self, among: int) -> Lookup:
        """A function from a value to those of the rows `among` that it satisfies.

        By bisection over all bounds b0 < b1 < …: region 2i is the gap below b(i), region 2i + 1 is
        b(i) itself. An interval covers a run of regions: its bit is switched at both ends.
        """
        spans = self._wanted | self._refused
        ends = (end for span in spans.values() for end in (span.low, span.high) if end is not None)
        bounds = sorted(set(ends))
        place = {bound: index for index, bound in enumerate(bounds)}
        switched = [0] * (2 * len(bounds) + 2)
        for row, span in spans.items():
            first = 0 if span.low is None else 2 * place[span.low] + (1 if span.low_included else 2)
            last = len(switched) - 2
            if span.high is not None:
                last = 2 * place[span.high] + (1 if span.high_included else 0)
            if first <= last:
                switched[first] ^= 1 << row
                switched[last + 1] ^= 1 << row
        regions: list[int] = []
        outside = ~bits(self._wanted)
        for switch in switched[:-1]:
            outside ^= switch
            regions.append(outside & among)
        count = len(bounds)

        def lookup(known: object) -> int:
            index = bisect_left(bounds, known)
            return regions[2 * index + (index < count and bounds[index] == known)]

        return lookup

    def _interval(self, leaf: Compare) -> _Interval:
        if isinstance(leaf.value, tuple):
            low, high = (read_operand(bound, self._kind) for bound in leaf.value)
            return _Interval(low, True, high, True)
        bound = read_operand(leaf.value, self._kind)
        if leaf.op in ("gt", "gte"):
            return _Interval(bound, leaf.op == "gte", None, False)
        return _Interval(None, False, bound, leaf.op == "lte")


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
