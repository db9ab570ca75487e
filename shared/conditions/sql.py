"""Conditions as SQL: the back end that counts and previews over stored profiles.

It builds SQLAlchemy expressions and runs nothing; every value of a condition, and every key of a
path, is a bound parameter. An expression is true, false or NULL exactly where the meaning in
`tree.py` says true, false or unknown. The facts are JSON (`jsonb`) as PostgreSQL keeps it, which
does not remember how a number was written: a whole number from 2**64 on counts as an IEEE double.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any as AnyType
from typing import assert_never

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Text,
    and_,
    cast,
    collate,
    func,
    literal,
    not_,
    null,
    or_,
)

from shared.conditions.facts import EVERY_CHANNEL, GRANTED_FROM, GRANTED_UNTIL, UNTIL, Root, locate
from shared.conditions.sql_values import comparison, plain_text, step, value_or_null
from shared.conditions.tree import (
    All,
    Any,
    Compare,
    Condition,
    CountOp,
    EventCount,
    HasConsent,
    InSegment,
    IsPersona,
    Not,
)

Truth = ColumnElement[bool]
Json = ColumnElement[AnyType]

_COUNTED: dict[CountOp, str] = {
    "eq": "=",
    "ne": "<>",
    "gt": ">",
    "gte": ">=",
    "lt": "<",
    "lte": "<=",
}


def _no_history(_: EventCount) -> ColumnElement[AnyType]:
    return null()


@dataclass(frozen=True, slots=True)
class SqlFacts:
    """Where the facts of `facts.Facts` stand in a row; what is left out is missing.

    `roots` maps `profile`, `computed`, `event`, `context`, `type`, `channel` and `source` to
    `jsonb` values. `segments` is a `jsonb` list, `persona` a `text`, `consents` a `jsonb` object
    `{purpose: {channel: status}}`; a status `granted until <instant>` is a grant before that
    instant, `granted from <instant> until <instant>` one between the two, by `now` (all as RFC 3339
    text). `count` gives the number of an event leaf's touchpoints, NULL where it is not known.
    """

    roots: Mapping[Root, Json]
    segments: ColumnElement[AnyType]
    persona: ColumnElement[AnyType]
    consents: Json
    count: Callable[[EventCount], ColumnElement[AnyType]] = field(default=_no_history)
    now: ColumnElement[AnyType] | None = None


def sql_condition(condition: Condition, facts: SqlFacts) -> Truth:
    """The condition as an expression over the row; unknown is NULL, which no WHERE lets through.

    Raises ValueError for `changed_to`: a stored row does not know what it was before.
    """
    match condition:
        case All(parts):
            return and_(*(sql_condition(part, facts) for part in parts))
        case Any(parts):
            return or_(*(sql_condition(part, facts) for part in parts))
        case Not(part):
            return not_(sql_condition(part, facts))
        case Compare():
            return _compare(condition, facts)
        case EventCount(count_op=op, count=bound):
            counted: Truth = facts.count(condition).op(_COUNTED[op], is_comparison=True)(bound)
            return counted
        case InSegment(segment):
            member = func.to_jsonb(cast(literal(segment, Text), Text))
            return func.coalesce(facts.segments.op("@>", is_comparison=True)(member), False)
        case IsPersona(persona):
            return facts.persona == literal(persona, Text)
        case HasConsent(purpose, channel):
            held = step(facts.consents, purpose)
            exact, rest = plain_text(step(held, channel)), plain_text(step(held, EVERY_CHANNEL))
            return func.coalesce(_granted(func.coalesce(exact, rest), facts), False)
        case _:
            assert_never(condition)


def _granted(status: ColumnElement[AnyType], facts: SqlFacts) -> Truth:
    if facts.now is None:
        return status == "granted"
    begins = collate(func.split_part(status, UNTIL, 1), "C")
    ends = collate(func.split_part(status, UNTIL, 2), "C")
    has_begun = begins <= literal(GRANTED_FROM, Text).concat(facts.now)
    begun = or_(status.startswith(GRANTED_UNTIL), and_(status.startswith(GRANTED_FROM), has_begun))
    return or_(status == "granted", and_(begun, ends > facts.now))


def _compare(leaf: Compare, facts: SqlFacts) -> Truth:
    if leaf.op == "changed_to":
        raise ValueError("changed_to asks for what a stored profile does not know")
    location = locate(leaf.attr)
    root = facts.roots.get(location.root)
    if root is None:
        known = leaf.op == "exists"
        return literal(not leaf.value, Boolean) if known else literal(None, Boolean)
    value = root
    for key in location.path:
        value = step(value, key)
    value = value_or_null(value)
    if leaf.op == "exists":
        return value.is_not(None) if leaf.value else value.is_(None)
    return comparison(leaf.op, value, leaf.value)
