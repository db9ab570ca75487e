"""The value of a computed trait from what its stream keeps, at an instant; and how long it holds.

Values are canonical JSON; exact decimals are texts. `null` is a value that cannot be told, because
the limit of the window or of different values is passed; None is no value: nothing happened.
"""

from collections import Counter
from collections.abc import Sequence
from decimal import ROUND_HALF_EVEN, Context, Decimal

import msgspec

from services.profile.domain.instants import instant_text
from services.profile.domain.kept import (
    MAX_IN_WINDOW,
    MAX_VALUES,
    Ends,
    Entries,
    Entry,
    Extremes,
    Holds,
    Total,
    Values,
    entries_in,
)
from services.profile.domain.numbers import exact_number, number_text
from services.profile.domain.sums import EXACT, MAX_DECIMALS
from services.profile.domain.tally import Tally
from services.profile.domain.trait import NUMERIC, Aggregate, ComputedTrait
from shared.conditions.windows import count_in, milliseconds

BEYOND = b"null"
DAY = 86_400_000
MAX_TEXT = 200
"""A longer text is passed over as a value."""

_ROUNDED = Context(prec=60, rounding=ROUND_HALF_EVEN)
_LAST_DIGIT = Decimal(1).scaleb(-MAX_DECIMALS)
_encode = msgspec.json.Encoder(order="deterministic").encode


def holds_for(trait: ComputedTrait) -> Holds:
    """What the stream of a computed trait has to keep."""
    windowed = trait.within is not None
    if trait.aggregate in ("count", "days_since") or (trait.of is None and windowed):
        return "instants"
    if trait.aggregate in NUMERIC:
        if windowed:
            return "numbers"
        return "total" if trait.aggregate in ("sum", "average") else "extremes"
    if windowed:
        return "entries"
    return "ends" if trait.aggregate in ("first", "last") else "values"


def keep_for(trait: ComputedTrait) -> int:
    """How many instants its stream has to keep."""
    if holds_for(trait) != "instants":
        return 0
    if trait.within is not None:
        return MAX_IN_WINDOW + 1
    return 1 if trait.aggregate == "days_since" else 0


def value_text(value: object) -> str | None:
    """A value of a touchpoint as it is kept; None for what is no short text, number or truth."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _encode(value.replace("\0", "\ufffd")).decode() if len(value) <= MAX_TEXT else None
    number = exact_number(value)
    return None if number is None else number_text(number)


def value_of(trait: ComputedTrait, tally: Tally | None, now: int) -> bytes | None:
    """The value at `now` (milliseconds since 1970), from the tally over all anchors."""
    if tally is None:
        return _of_nothing(trait.aggregate)
    if trait.within is not None:
        return _in_window(trait, tally, milliseconds(trait.within), now)
    match trait.aggregate, tally.kept:
        case "count", _:
            return b"%d" % tally.count
        case "days_since", _:
            return b"%d" % _days(tally.recent[0], now)
        case "sum", Total(total):
            return _number(total)
        case "average", Total(total):
            return _average(total, tally.count)
        case "min", Extremes(low, _):
            return _number(low)
        case "max", Extremes(_, high):
            return _number(high)
        case "first", Ends(first, _):
            return _entry(first)
        case "last", Ends(_, last):
            return _entry(last)
        case "most_frequent" | "distinct_count", Values(counts):
            return _among(trait.aggregate, counts)
        case _:
            raise TypeError(f"{trait.aggregate} of {type(tally.kept).__name__}")


def until(trait: ComputedTrait, tally: Tally | None, now: int) -> int | None:
    """The first instant after `now` at which time alone may change the value; None when never."""
    if tally is None:
        return None
    if trait.aggregate == "days_since":
        return tally.recent[0] + (_days(tally.recent[0], now) + 1) * DAY
    if trait.within is None:
        return None
    within = milliseconds(trait.within)
    if isinstance(tally.kept, Entries):
        count = entries_in(tally.kept.newest, within, now)
        return tally.kept.newest[count - 1][0] + within if count else None
    count = count_in(tally.recent, within, now)
    return tally.recent[count - 1] + within if count else None


def _days(last: int, now: int) -> int:
    return max(now - last, 0) // DAY


def _of_nothing(aggregate: Aggregate) -> bytes | None:
    if aggregate == "sum":
        return b'"0"'
    return b"0" if aggregate in ("count", "distinct_count") else None


def _in_window(trait: ComputedTrait, tally: Tally, within: int, now: int) -> bytes | None:
    if isinstance(tally.kept, Entries):
        entries = tally.kept.newest[: entries_in(tally.kept.newest, within, now)]
    else:
        entries = [(at, "") for at in tally.recent[: count_in(tally.recent, within, now)]]
    if not entries:
        return _of_nothing(trait.aggregate)
    if trait.aggregate == "last":
        return _entry(entries[0])
    if len(entries) > MAX_IN_WINDOW:
        return BEYOND
    match trait.aggregate:
        case "count":
            return b"%d" % len(entries)
        case "first":
            return _entry(entries[-1])
        case "most_frequent" | "distinct_count":
            return _among(trait.aggregate, Counter(text for _, text in entries))
        case _:
            return _of_numbers(trait.aggregate, [Decimal(text) for _, text in entries])


def _of_numbers(aggregate: Aggregate, numbers: Sequence[Decimal]) -> bytes:
    if aggregate == "min":
        return _number(min(numbers))
    if aggregate == "max":
        return _number(max(numbers))
    total = Decimal(0)
    for number in numbers:
        total = EXACT.add(total, number)
    return _number(total) if aggregate == "sum" else _average(total, len(numbers))


def _among(aggregate: Aggregate, counts: dict[str, int]) -> bytes:
    if len(counts) > MAX_VALUES:
        return BEYOND
    if aggregate == "distinct_count":
        return b"%d" % len(counts)
    return min(counts, key=lambda text: (-counts[text], text)).encode()


def _entry(entry: Entry) -> bytes:
    return entry[1].encode() or b'"%b"' % instant_text(entry[0]).encode()


def _number(number: Decimal) -> bytes:
    return b'"%b"' % number_text(number).encode()


def _average(total: Decimal, count: int) -> bytes:
    mean = _ROUNDED.divide(total, Decimal(count))
    return _number(mean.quantize(_LAST_DIGIT, context=_ROUNDED))
