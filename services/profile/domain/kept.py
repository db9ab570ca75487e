"""What a stream keeps of its touchpoints beyond how many there were, on one identifier.

Each form is as much as one family of questions needs. Adding and joining are commutative and
associative, so neither order nor batches, merges or splits change what is found. Where something
has a limit, one more than that is kept: whoever reads it sees that there was more.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Literal, TypeVar

import msgspec

from services.profile.domain.observed import Heard, Spread, Told, add_told, hear, join_spreads
from services.profile.domain.sums import EXACT
from services.profile.domain.trait import DeclaredTrait

Holds = Literal["instants", "total", "extremes", "ends", "values", "entries", "numbers", "trait"]
"""What a stream keeps; `instants` keeps nothing here. `entries` of numbers only are `numbers`."""

MAX_IN_WINDOW = 1_000
"""A window that slides over values is exact for at most so many touchpoints in it."""
MAX_VALUES = 500
"""Different values are told apart up to so many."""

Entry = tuple[int, str]
"""An instant (milliseconds since 1970) and a value as canonical JSON, empty for none."""


class Total(msgspec.Struct, array_like=True, gc=False, tag="total"):
    """The exact sum of numbers; the tally counts them."""

    sum: Decimal


class Extremes(msgspec.Struct, array_like=True, gc=False, tag="extremes"):
    """The smallest and the greatest number."""

    low: Decimal
    high: Decimal


class Ends(msgspec.Struct, array_like=True, gc=False, tag="ends"):
    """The first and the last value; of values of one instant the smallest and the greatest."""

    first: Entry
    last: Entry


class Values(msgspec.Struct, array_like=True, gc=False, tag="values"):
    """How often each value came. With more than MAX_VALUES only the smallest texts are here, and
    one too many of them."""

    counts: dict[str, int]


class Entries(msgspec.Struct, array_like=True, gc=False, tag="entries"):
    """The newest values, newest first, MAX_IN_WINDOW and one more."""

    newest: list[Entry]


Kept = Total | Extremes | Ends | Values | Entries | Heard | Spread


def add(
    kept: Kept | None, holds: Holds, at: int, value: str, number: Decimal | None
) -> Kept | None:
    """What is kept with one more touchpoint, changed in place where there was something.

    `number` is the value of a stream of numbers.
    """
    match holds:
        case "total" if number is not None:
            if not isinstance(kept, Total):
                return Total(number)
            kept.sum = EXACT.add(kept.sum, number)
        case "extremes" if number is not None:
            if not isinstance(kept, Extremes):
                return Extremes(number, number)
            kept.low, kept.high = min(kept.low, number), max(kept.high, number)
        case "ends":
            entry = (at, value)
            if not isinstance(kept, Ends):
                return Ends(entry, entry)
            kept.first, kept.last = min(kept.first, entry), max(kept.last, entry)
        case "values":
            if not isinstance(kept, Values):
                return Values({value: 1})
            kept.counts[value] = kept.counts.get(value, 0) + 1
            _keep_the_smallest(kept.counts)
        case "entries" | "numbers":
            if not isinstance(kept, Entries):
                return Entries([(at, value)])
            _insert(kept.newest, (at, value))
        case _:
            pass
    return kept


def add_trait(kept: Kept | None, trait: DeclaredTrait, told: Told) -> Kept:
    """The same for what was said of a declared trait."""
    if trait.policy == "most_frequent":
        spread = kept if isinstance(kept, Spread) else Spread({})
        add_told(spread, told, MAX_VALUES)
        return spread
    heard = kept if isinstance(kept, Heard) else Heard([])
    hear(heard, trait, told)
    return heard


def join(all_kept: Sequence[Kept]) -> Kept:
    """Everything together, as a new value; all are of one form, and there is at least one."""
    first = all_kept[0]
    match first:
        case Total():
            total = Decimal(0)
            for part in _of(Total, all_kept):
                total = EXACT.add(total, part.sum)
            return Total(total)
        case Extremes():
            found = list(_of(Extremes, all_kept))
            return Extremes(min(one.low for one in found), max(one.high for one in found))
        case Ends():
            ends = list(_of(Ends, all_kept))
            return Ends(min(one.first for one in ends), max(one.last for one in ends))
        case Values():
            counts: dict[str, int] = {}
            for one in _of(Values, all_kept):
                for value, count in one.counts.items():
                    counts[value] = counts.get(value, 0) + count
            _keep_the_smallest(counts)
            return Values(counts)
        case Entries():
            entries = [entry for one in _of(Entries, all_kept) for entry in one.newest]
            entries.sort(reverse=True)
            return Entries(entries[: MAX_IN_WINDOW + 1])
        case Spread():
            return join_spreads(_of(Spread, all_kept), MAX_VALUES)
        case Heard():
            return Heard([told for one in _of(Heard, all_kept) for told in one.told])


def entries_in(newest: Sequence[Entry], within: int, at: int) -> int:
    """How many of the entries lie in the window at an instant; see `conditions.windows`."""
    return bisect_left(newest, True, key=lambda entry: entry[0] + within <= at)


T = TypeVar("T", bound=Kept)


def _of(form: type[T], all_kept: Iterable[Kept]) -> Iterable[T]:
    for one in all_kept:
        if not isinstance(one, form):
            raise TypeError(f"{type(one).__name__} is no {form.__name__}")
        yield one


def _keep_the_smallest(counts: dict[str, int]) -> None:
    """Which ones these are does not depend on what came first, and the counts of those that stay
    are whole: what is once too great stays too great."""
    excess = len(counts) - MAX_VALUES - 1
    if excess > 0:
        for value in sorted(counts)[-excess:]:
            del counts[value]


def _insert(newest: list[Entry], entry: Entry) -> None:
    place = 0
    while place < len(newest) and newest[place] > entry:
        place += 1
    if place <= MAX_IN_WINDOW:
        newest.insert(place, entry)
        del newest[MAX_IN_WINDOW + 1 :]
