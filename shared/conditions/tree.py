"""The condition tree: immutable nodes, their JSON form, and what they mean.

This module only says what a condition is. It must never read a fact or decide a truth.

Meaning (every back end has to agree with this text)
----------------------------------------------------
A condition is true, false or *unknown* for given facts; at the root, unknown counts as false.

Nodes. `all`: false when a part is false, else unknown when a part is unknown, else true. `any`:
true when a part is true, else unknown when a part is unknown, else false. `not`: swaps true and
false and keeps unknown. So the negation of an unknown comparison is not true either.

Attributes. `profile.<trait>`, `profile.computed.<name>`, `event.<property>`, `context.<key>`, and
the envelope `event.type`, `event.channel`, `event.source` (they hide properties of those names).
`profile.household` and `profile.account` are the ids of the household and of the account linked
last, `profile.accounts` the list of all accounts' ids (they hide traits of those names).
`household.<trait>` and `account.<trait>` are what is known of these two groups; `id` and `size`
hide traits of those names. `profile.lists`, the static lists' keys, is not for people: a static
list is a segment.
Further dots step into objects (`event.address.city`); a step into anything but an object finds
nothing. Elements of lists have no path. A value that is absent or `null` is *missing*.

Types. The type of the operand decides how the fact is read; a fact that cannot be read as that
type, or is missing, makes the comparison unknown, for `ne` and `nin` too.
  number   A number, or a string that spells a decimal the way JSON does without an exponent
           (`"159.90"`, at most 40 characters; not `"007"`, `"1e3"`, `" 1"`). Whole numbers compare
           exactly. With a fraction or an exponent they are IEEE doubles, so `"159.90"` equals
           159.9, and more than about 15 digits are not told apart. Booleans are never numbers;
           infinity and NaN are no values.
  time     The operand is an RFC 3339 date-time with an offset: the fact must be one too, and the
           instants compare, to the microsecond. A date without a time is a string.
  string   Any other string operand: the fact must be a string. Compared by code point, with case.
           A number is never read as a string.
  boolean  Only for equality; the fact must be a boolean.
A list of strings is a list of times when every element is a time, else of strings.

Comparisons.
  eq ne              equal, not equal.
  gt gte lt lte      ordered; operand a number, string or time.
  between [a, b]     a <= fact <= b.
  in nin             equal to one, to none, of a list whose elements have one type.
  contains           the fact is a list: an element equals the operand (others are passed over).
                     The fact and the operand are strings: the operand is a part of the fact.
  starts_with        the fact is a string that begins with the operand, letter by letter.
  exists             true or false: is there a value? Never unknown. The empty string exists.
  changed_to         only for traits and computed traits. False when the trait is not among the
                     changed. Otherwise the value must now equal the operand (unknown as in `eq`),
                     and must not have equalled it before.

Other leaves. `segment`: is the profile a member; never unknown. `persona`: is it this one; unknown
while the profile has none. `consent`: does a grant hold for the purpose and channel, and no refusal
that covers it (`shared.contracts.consents`); never unknown, because without a record nothing is
granted. `event`: how many touchpoints of the type,
where `where` holds for them, lie within the window (default: at least one, ever); the count comes
from the facts, and without it the leaf is unknown.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, assert_never, get_args

from shared.conditions.duration import format_duration

Op = Literal[
    "eq",
    "ne",
    "gt",
    "gte",
    "lt",
    "lte",
    "in",
    "nin",
    "contains",
    "starts_with",
    "exists",
    "between",
    "changed_to",
]
CountOp = Literal["eq", "ne", "gt", "gte", "lt", "lte"]
OPS: tuple[Op, ...] = get_args(Op)
COUNT_OPS: tuple[CountOp, ...] = get_args(CountOp)

Scalar = bool | int | float | str
Operand = Scalar | tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class All:
    """Every part holds."""

    parts: "tuple[Condition, ...]"


@dataclass(frozen=True, slots=True)
class Any:
    """At least one part holds."""

    parts: "tuple[Condition, ...]"


@dataclass(frozen=True, slots=True)
class Not:
    """The part is known not to hold."""

    part: "Condition"


@dataclass(frozen=True, slots=True)
class Compare:
    """One attribute against one operand. `between`, `in` and `nin` have a tuple as operand."""

    attr: str
    op: Op
    value: Operand


@dataclass(frozen=True, slots=True)
class EventCount:
    """How many touchpoints of type `event` that satisfy `where` lie in the last `within`."""

    event: str
    where: "Condition | None" = None
    count_op: CountOp = "gte"
    count: int = 1
    within: timedelta | None = None


@dataclass(frozen=True, slots=True)
class InSegment:
    """The profile is a member of the segment."""

    segment: str


@dataclass(frozen=True, slots=True)
class IsPersona:
    """The profile's persona is this one."""

    persona: str


@dataclass(frozen=True, slots=True)
class HasConsent:
    """The profile has granted the purpose on the channel."""

    purpose: str
    channel: str


Leaf = Compare | EventCount | InSegment | IsPersona | HasConsent
Condition = All | Any | Not | Leaf


def to_json(condition: Condition) -> dict[str, object]:
    """The JSON form, made of plain dicts, lists and scalars; `parse_condition` reads it back."""
    match condition:
        case All(parts):
            return {"all": [to_json(part) for part in parts]}
        case Any(parts):
            return {"any": [to_json(part) for part in parts]}
        case Not(part):
            return {"not": to_json(part)}
        case Compare(attr, op, value):
            plain = list(value) if isinstance(value, tuple) else value
            return {"attr": attr, "op": op, "value": plain}
        case EventCount():
            return _event_to_json(condition)
        case InSegment(segment):
            return {"segment": segment}
        case IsPersona(persona):
            return {"persona": persona}
        case HasConsent(purpose, channel):
            return {"consent": {"purpose": purpose, "channel": channel}}
        case _:
            assert_never(condition)


def _event_to_json(leaf: EventCount) -> dict[str, object]:
    document: dict[str, object] = {"event": leaf.event}
    if leaf.where is not None:
        document["where"] = to_json(leaf.where)
    document["count"] = {leaf.count_op: leaf.count}
    if leaf.within is not None:
        document["within"] = format_duration(leaf.within)
    return document
