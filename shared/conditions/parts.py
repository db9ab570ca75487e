"""Which conditions a value satisfies that ask for a part of it: an element of a list, a part of a
text. What a list holds is looked up; in a text only what is still alive is searched for.
"""

from collections import defaultdict

from shared.conditions.bitsets import bits, deserves_a_mask, ones
from shared.conditions.tree import Compare, Scalar
from shared.conditions.values import READERS, Kind, kind_of, read_operand


class Parts:
    """The rows that ask `contains` or its negation of one attribute, each with its operand."""

    def __init__(self) -> None:
        self._asked: dict[int, tuple[Scalar, bool]] = {}

    @property
    def is_empty(self) -> bool:
        """Whether no row asks."""
        return not self._asked

    def add(self, row: int, leaf: Compare, *, wanted: bool) -> bool:
        """Take in one comparison; whether it found its place, which one row has once."""
        if isinstance(leaf.value, tuple):
            return False
        operand, before = self._asked.setdefault(row, (leaf.value, wanted))
        is_same = type(operand) is type(leaf.value) and operand == leaf.value
        return is_same and before is wanted

    def freeze(self) -> "PartLookup":
        """What answers for a value."""
        return PartLookup(self._asked)


class PartLookup:
    """From a value to the rows that it satisfies, among those that are still alive."""

    def __init__(self, asked: dict[int, tuple[Scalar, bool]]) -> None:
        self._asked = asked
        self._asking = bits(asked)
        self._without = ~bits(row for row, (_, wanted) in asked.items() if wanted)
        self._rows = range(self._asking.bit_length())
        found: defaultdict[Kind, defaultdict[object, list[int]]] = defaultdict(
            lambda: defaultdict(list)
        )
        for row, (operand, _) in asked.items():
            kind = kind_of(operand)
            found[kind][read_operand(operand, kind)].append(row)
        self._elements = [(READERS[kind], self._masks(named)) for kind, named in found.items()]

    def __call__(self, alive: int, value: object) -> int:
        """The rows alive without those to which the value does not do."""
        asking = alive & self._asking
        if not asking:
            return alive
        if type(value) is list:
            return alive & (self._without ^ self._named_by(value))
        if type(value) is not str:
            return alive ^ asking
        for row in ones(asking, self._rows):
            operand, wanted = self._asked[row]
            if type(operand) is not str or (operand in value) is not wanted:
                alive ^= 1 << row
        return alive

    def _masks(self, named: dict[object, list[int]]) -> dict[object, int | list[int]]:
        return {
            element: bits(rows) if deserves_a_mask(rows, self._asking) else rows
            for element, rows in named.items()
        }

    def _named_by(self, elements: list[object]) -> int:
        """The rows that name one of the elements, whether they want it or refuse it."""
        named = 0
        for known_as, masks in self._elements:
            for element in elements:
                known = known_as(element)
                if known is not None:
                    found = masks.get(known)
                    if found is not None:
                        named |= found if isinstance(found, int) else bits(found)
        return named
