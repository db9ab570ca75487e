"""Whether a stated value is of the type that was declared, and how values of a type are ordered."""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec

from services.profile.domain.numbers import exact_number, fraction_in_json
from services.profile.domain.survivorship import REMOVED
from shared.conditions.trait_types import TraitType
from shared.conditions.values import read_time

_DECODE = msgspec.json.Decoder(float_hook=fraction_in_json).decode
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

Order = Decimal | int


def misfit(value: bytes, type_: TraitType) -> str | None:
    """Why a value (canonical JSON) is not of the type, in words; None when it is, or is null."""
    if value == REMOVED or _READ[type_](_DECODE(value)) is not None:
        return None
    return _WANTED[type_]


def order_of(value: bytes, type_: TraitType) -> Order:
    """What values of an ordered type are compared by. The value has to fit (ValueError)."""
    found = _READ[type_](_DECODE(value))
    if not isinstance(found, Decimal | int):
        raise ValueError(f"no {type_} that can be ordered")
    return found


def _integer(value: object) -> Decimal | None:
    number = exact_number(value)
    return None if number is None or number != number.to_integral_value() else number


def _date(value: object) -> int | None:
    if not isinstance(value, str) or _DATE.fullmatch(value) is None:
        return None
    try:
        return date.fromisoformat(value).toordinal()
    except ValueError:  # the shape of a date, but no such day
        return None


def _time(value: object) -> int | None:
    instant = read_time(value)
    return (instant - _EPOCH) // _MICROSECOND if isinstance(instant, datetime) else None


def _of(kind: type) -> Callable[[Any], object]:
    return lambda value: value if type(value) is kind else None


_READ: dict[TraitType, Callable[[Any], object]] = {
    "string": _of(str),
    "integer": _integer,
    "decimal": exact_number,
    "boolean": _of(bool),
    "date": _date,
    "time": _time,
    "list": _of(list),
}
_WANTED: dict[TraitType, str] = {
    "string": "it is no text",
    "integer": "it is no whole number",
    "decimal": "it is no number",
    "boolean": "it is neither true nor false",
    "date": "it is no date such as 1990-12-31",
    "time": "it is no RFC 3339 time such as 2026-11-01T00:00:00Z",
    "list": "it is no list",
}
