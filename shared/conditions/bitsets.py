"""Sets of rows as whole bit sets in Python integers."""

from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import compress
from typing import Any, TypeVar

T = TypeVar("T")

Lookup = Callable[[Any], int]
"""From a value to the set of the rows that it satisfies."""

DENSE = 12
SPARSE = 1_024
_DIGIT_VALUES = bytes.maketrans(b"01", b"\x00\x01")


def bits(positions: Iterable[int]) -> int:
    """The integer with a one at each position."""
    mask = 0
    for position in positions:
        mask |= 1 << position
    return mask


def deserves_a_mask(positions: Collection[int], among: int) -> bool:
    """Whether to keep positions as bits. Where values are many and each is asked for by few of
    many rows, a bit set for each value would take more room than the conditions: those stay
    positions."""
    return len(positions) * SPARSE > among.bit_length()


def ones(mask: int, items: Sequence[T]) -> list[T]:
    """The items at whose positions the integer has a one."""
    # Going through the binary digits is faster than shifting a long integer for each one: from one
    # to the next where they are rare, digit by digit where they are not.
    digits = bin(mask)[:1:-1]
    if mask.bit_count() * DENSE > len(digits):
        return list(compress(items, digits.encode().translate(_DIGIT_VALUES)))
    found: list[T] = []
    position = digits.find("1")
    while position >= 0:
        found.append(items[position])
        position = digits.find("1", position + 1)
    return found
