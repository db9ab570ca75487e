"""Numbers of touchpoints and traits as exact decimals, and exact decimals as text.

A number is a JSON number, or a text that spells one, as conditions read it. One that has more than
16 digits before the point or 8 behind it is none: every sum of such numbers is exact.
"""

import re
from decimal import Decimal

from services.profile.domain.sums import EXACT, MAX_DECIMALS, MAX_DIGITS

_MAX_TEXT = 40
_SPELLED = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?")
_IN_JSON = re.compile(_SPELLED.pattern + r"(?:[eE][+-]?[0-9]{1,3})?")


def exact_number(value: object) -> Decimal | None:
    """The value as a number; None when it is none."""
    if type(value) is int:
        return _usable(Decimal(value)) if abs(value) < 10**MAX_DIGITS else None
    if isinstance(value, Decimal):
        return _usable(value)
    if isinstance(value, str) and len(value) <= _MAX_TEXT and _SPELLED.fullmatch(value):
        return _usable(Decimal(value))
    return None


def fraction_in_json(text: str) -> Decimal | None:
    """A JSON number with a fraction or an exponent, as a decoder reads it; None when it is not
    usable, so that the decoder finds a null there."""
    if len(text) <= _MAX_TEXT and _IN_JSON.fullmatch(text):
        return _usable(Decimal(text))
    return None


def _usable(number: Decimal) -> Decimal | None:
    if number.adjusted() >= MAX_DIGITS - MAX_DECIMALS:
        return None
    plain = EXACT.plus(number).normalize(EXACT)
    exponent = plain.as_tuple().exponent
    return plain if isinstance(exponent, int) and exponent >= -MAX_DECIMALS else None


def number_text(number: Decimal) -> str:
    """The number without an exponent and without zeros at the end: `59.9`, `0`."""
    text = f"{number:f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text
