"""Which conditions a value satisfies that ask for one of some values, or for none of them."""

from collections import defaultdict
from collections.abc import Iterator

from shared.conditions.bitsets import Lookup, bits, deserves_a_mask
from shared.conditions.tree import Compare
from shared.conditions.values import Kind, read_operand


class Points:
    """The rows that ask `eq`, `in`, `ne` or `nin` of one attribute, with operands of one kind."""

    def __init__(self, kind: Kind) -> None:
        self._kind: Kind = kind
        self._wanted: dict[int, frozenset[object]] = {}
        self._refused: dict[int, frozenset[object]] = {}

    @property
    def rows(self) -> Iterator[int]:
        """The rows that ask."""
        yield from self._wanted
        yield from self._refused

    def add(self, row: int, leaf: Compare) -> None:
        """Take in one comparison; a row may ask more than once."""
        operands = leaf.value if isinstance(leaf.value, tuple) else (leaf.value,)
        values = frozenset(read_operand(operand, self._kind) for operand in operands)
        if leaf.op in ("eq", "in"):
            self._wanted[row] = self._wanted.get(row, values) & values
        else:
            self._refused[row] = self._refused.get(row, frozenset()) | values

    def freeze(self, among: int) -> Lookup:
        """A function from a value to those of the rows `among` that it satisfies."""
        unheard = among & ~bits(self._wanted)  # what a value satisfies that nobody names
        named: dict[object, int | list[int]] = {
            value: unheard ^ bits(rows) if deserves_a_mask(rows, among) else rows
            for value, rows in self._named(among).items()
        }

        def lookup(known: object) -> int:
            found = named.get(known, unheard)
            return found if isinstance(found, int) else unheard ^ bits(found)

        return lookup

    def _named(self, among: int) -> dict[object, list[int]]:
        """For each value the rows to which it makes a difference that it is this one."""
        named: defaultdict[object, list[int]] = defaultdict(list)
        for row, values in self._wanted.items():
            if among >> row & 1:
                for value in values - self._refused.get(row, frozenset()):
                    named[value].append(row)
        for row, values in self._refused.items():
            if among >> row & 1 and row not in self._wanted:
                for value in values:
                    named[value].append(row)
        return named
