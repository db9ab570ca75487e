"""One comparison of a `jsonb` value with an operand, as SQL. The meaning is written in `tree.py`.

Every expression is NULL where the value cannot be read as the operand's type. `CASE` guards each
cast, so no stored value can make a statement fail.
"""

import math
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    ColumnElement,
    Double,
    Integer,
    Numeric,
    Text,
    and_,
    any_,
    case,
    cast,
    exists,
    func,
    literal,
    not_,
    null,
)
from sqlalchemy.dialects.postgresql import JSONB

from shared.conditions.tree import Op, Operand, Scalar
from shared.conditions.values import MAX_DECIMAL, kind_of, read_time

Json = ColumnElement[Any]
Truth = ColumnElement[bool]
Number = int | float

DECIMAL = r"^-?(0|[1-9][0-9]*)(\.[0-9]+)?$"
TIME = (
    r"^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])[Tt]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"
    r"(\.[0-9]{1,12})?([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$"
)
DOUBLES_FROM = 2**64
"""A whole number from here on was written with an exponent: JSON readers give a double."""

_ORDERED: dict[str, Callable[[Any, Any], Truth]] = {
    "eq": lambda left, right: left == right,
    "ne": lambda left, right: left != right,
    "gt": lambda left, right: left > right,
    "gte": lambda left, right: left >= right,
    "lt": lambda left, right: left < right,
    "lte": lambda left, right: left <= right,
}


def step(value: Json, key: str) -> Json:
    """The value under a key; NULL in anything but an object. A text is never an index."""
    return value.op("->", return_type=JSONB())(literal(key, Text))


def value_or_null(value: Json) -> Json:
    """The value, with JSON's `null` as NULL: both are missing."""
    return func.nullif(value, cast(literal("null", Text), JSONB), type_=JSONB())


def plain_text(value: Json) -> ColumnElement[str]:
    """A JSON string, number or boolean as text, without quotes."""
    return value.op("#>>", return_type=Text())(cast(literal("{}", Text), ARRAY(Text)))


def comparison(op: Op, value: Json, operand: Operand) -> Truth:
    """The comparison, for every operator but `exists` and `changed_to`."""
    if isinstance(operand, tuple):
        if op == "between":
            low, high = operand
            return and_(_ordered("gte", value, low), _ordered("lte", value, high))
        found = _one_of(value, operand)
        return found if op == "in" else not_(found)
    if op == "contains":
        return _contains(value, operand)
    if op == "starts_with":
        starts: ColumnElement[bool] = func.starts_with(plain_text(value), literal(operand, Text))
        return case((_is(value, "string"), starts), else_=null())
    return _ordered(op, value, operand)


def _is(value: Json, kind: str) -> Truth:
    return func.jsonb_typeof(value) == kind


def _ordered(op: str, value: Json, operand: Scalar) -> Truth:
    match kind_of(operand):
        case "number":
            return _number(
                value, lambda x: _exact(op, x, operand), lambda x: _double(op, x, operand)
            )
        case "time":
            return _ORDERED[op](_instant(value), literal(_microseconds(operand), BigInteger))
        case "text":
            return _ORDERED[op](_text(value), literal(operand, Text))
        case _:
            return _ORDERED[op](_boolean(value), literal(operand, Boolean))


def _one_of(value: Json, operands: tuple[Scalar, ...]) -> Truth:
    match kind_of(operands):
        case "number":
            return _number(
                value,
                lambda x: x == any_(literal([_decimal(one) for one in operands], ARRAY(Numeric))),
                lambda x: x == any_(literal(_as_doubles(operands), ARRAY(Double))),
            )
        case "time":
            instants = [_microseconds(one) for one in operands]
            return _instant(value) == any_(literal(instants, ARRAY(BigInteger)))
        case "text":
            return _text(value) == any_(literal(list(operands), ARRAY(Text)))
        case _:
            return _boolean(value) == any_(literal(list(operands), ARRAY(Boolean)))


def _contains(value: Json, operand: Scalar) -> Truth:
    elements = case((_is(value, "array"), value), else_=cast(literal("[]", Text), JSONB))
    element: Json = func.jsonb_array_elements(elements, type_=JSONB()).column_valued("element")
    known = value_or_null(element)
    found = exists().where(_ordered("eq", known, operand))
    choices: list[tuple[Truth, Any]] = [(_is(value, "array"), found)]
    if isinstance(operand, str):
        position = func.strpos(plain_text(value), literal(operand, Text))
        choices.append((_is(value, "string"), position > 0))
    return case(*choices, else_=null())


def _text(value: Json) -> ColumnElement[str]:
    text = case((_is(value, "string"), plain_text(value)), else_=null())
    return text.collate("C")


def _boolean(value: Json) -> ColumnElement[bool]:
    return case((_is(value, "boolean"), plain_text(value) == "true"), else_=null())


def _number(
    value: Json,
    exact: Callable[[ColumnElement[Any]], Truth],
    double: Callable[[ColumnElement[Any]], Truth],
) -> Truth:
    """Whole numbers go to `exact` as numeric, others to `double` as IEEE doubles."""
    text = plain_text(value)
    number = cast(text, Numeric)
    spelled = and_(
        _is(value, "string"), func.char_length(text) <= MAX_DECIMAL, text.regexp_match(DECIMAL)
    )
    whole = and_(func.scale(number) == 0, func.abs(number) < literal(DOUBLES_FROM, Numeric))
    return case(
        (
            _is(value, "number"),
            case((whole, exact(number)), else_=double(cast(text, Double))),
        ),
        (
            spelled,
            case((func.strpos(text, ".") > 0, double(cast(text, Double))), else_=exact(number)),
        ),
        else_=null(),
    )


def _exact(op: str, number: ColumnElement[Any], operand: Scalar) -> Truth:
    return _ORDERED[op](number, literal(_decimal(operand), Numeric))


def _double(op: str, number: ColumnElement[Any], operand: Scalar) -> Truth:
    """A double against a number that may lie between two doubles: against its neighbour then."""
    below, above = _neighbours(operand)
    if below == above:
        return _ORDERED[op](number, literal(below, Double))
    if op in ("eq", "ne"):
        return case((number.is_(None), null()), else_=literal(op == "ne", Boolean))
    bound = above if op in ("gt", "gte") else below
    return _ORDERED[{"gt": "gte", "lt": "lte"}.get(op, op)](number, literal(bound, Double))


def _decimal(operand: Scalar) -> Decimal:
    """The number itself: a float is a binary fraction, and Decimal writes it out."""
    assert not isinstance(operand, str)  # noqa: S101 - its kind is a number
    return Decimal(operand)


def _as_doubles(operands: tuple[Scalar, ...]) -> list[float]:
    pairs = [_neighbours(one) for one in operands]
    return [below for below, above in pairs if below == above]


def _neighbours(operand: Scalar) -> tuple[float, float]:
    """The largest double that is not above, and the smallest that is not below the number."""
    assert not isinstance(operand, str)  # noqa: S101 - its kind is a number
    near = float(operand)
    if near == operand:
        return near, near
    if near < operand:
        return near, math.nextafter(near, math.inf)
    return math.nextafter(near, -math.inf), near


_YEAR_ONE = datetime(1, 1, 1, tzinfo=UTC)


def _microseconds(operand: Scalar) -> int:
    """Microseconds since the year 1 in UTC; below 0 for what only its offset puts before that."""
    instant = read_time(operand)
    assert instant is not None  # noqa: S101 - its kind is a time
    offset = instant.utcoffset()
    assert offset is not None  # noqa: S101 - a time has an offset
    since = instant.replace(tzinfo=UTC) - _YEAR_ONE - offset
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def _instant(value: Json) -> ColumnElement[int]:
    """A date-time's microseconds since the year 1 in UTC; NULL for a day that no month has."""
    text = plain_text(value)

    def part(start: int, length: int) -> ColumnElement[int]:
        return cast(func.substr(text, start, length), Integer)

    month_begins = func.make_date(part(1, 4), part(6, 2), 1)
    # 1 February plus 31 days is a day of March, the 3rd or the 4th: the month has so many less.
    days_over = func.extract("day", month_begins + 31)
    has_31 = func.extract("day", month_begins + 30) == 31
    last_day = case((has_31, 31), else_=cast(32 - days_over, Integer))
    valid = and_(
        _is(value, "string"),
        func.char_length(text) <= MAX_DECIMAL,
        text.regexp_match(TIME),
        func.substr(text, 1, 4) != "0000",
    )
    day = func.make_date(part(1, 4), part(6, 2), part(9, 2))
    days = cast(day - func.make_date(1, 1, 1), BigInteger)
    seconds = (days * 24 + part(12, 2)) * 3600 + part(15, 2) * 60 + part(18, 2)
    fraction = func.coalesce(func.substring(text, r"\.([0-9]+)"), "")
    micros = cast(func.rpad(func.substr(fraction, 1, 6), 6, "0"), Integer)
    zone = func.right(text, 6)
    ahead = case(
        (func.upper(func.right(text, 1)) == "Z", 0),
        else_=(
            cast(func.substr(zone, 1, 1).concat("1"), Integer)
            * (cast(func.substr(zone, 2, 2), Integer) * 60 + cast(func.substr(zone, 5, 2), Integer))
            * 60
        ),
    )
    instant = (seconds - ahead) * 1_000_000 + micros
    return case((valid, case((part(9, 2) <= last_day, instant), else_=null())), else_=null())
