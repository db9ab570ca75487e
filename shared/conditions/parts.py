"""Which conditions that ask for a part a value satisfies: an element of a list, a part of a text.

What a list holds is looked up; in a text only what is still alive is searched for.
"""

from collections import defaultdict
from collections.abc import Mapping

from shared.conditions.bitsets import bits, ones
from shared.conditions.tree import Scalar
from shared.conditions.values import READERS, Kind, kind_of, read_operand


class PartLookup:
    """The rows that ask `contains` of one attribute, each with its operand."""

    def __init__(self, asked: Mapping[int, Scalar], everyone: int) -> None:
        self._asked = asked
        self._asking = bits(asked)
        self._others = everyone & ~self._asking
        self._rows = range(everyone.bit_length())
        positions: defaultdict[Kind, defaultdict[object, list[int]]] = defaultdict(
            lambda: defaultdict(list)
        )
        for row, operand in asked.items():
            kind = kind_of(operand)
            positions[kind][read_operand(operand, kind)].append(row)
        self._elements = [(READERS[kind], dict(found)) for kind, found in positions.items()]

    def __call__(self, alive: int, value: object) -> int:
        """The rows alive without those that ask for a part which the value does not have."""
        asking = alive & self._asking
        if not asking:
            return alive
        if type(value) is list:
            return alive & (self._others | self._among(value))
        if type(value) is not str:
            return alive & self._others
        asked = self._asked
        for row in ones(asking, self._rows):
            operand = asked[row]
            if type(operand) is not str or operand not in value:
                alive ^= 1 << row
        return alive

    def _among(self, elements: list[object]) -> int:
        found: list[int] = []
        for known_as, rows in self._elements:
            for element in elements:
                known = known_as(element)
                if known is not None:
                    found += rows.get(known, ())
        return bits(set(found))
