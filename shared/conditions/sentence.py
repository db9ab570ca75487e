"""A condition as one plain English sentence, for the people who must see why.

The sentence is for reading only: it may shorten long lists and texts, and nothing parses it.
"""

from typing import assert_never

from shared.conditions.duration import duration_in_words
from shared.conditions.facts import locate
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
    Leaf,
    Not,
    Op,
    Operand,
    Scalar,
)

MAX_LISTED = 10
MAX_TEXT = 80

_WORDS: dict[Op, str] = {
    "eq": "is",
    "ne": "is not",
    "gt": "is greater than",
    "gte": "is at least",
    "lt": "is less than",
    "lte": "is at most",
    "in": "is one of",
    "nin": "is none of",
    "contains": "contains",
    "starts_with": "starts with",
    "exists": "is known",
    "between": "is between",
    "changed_to": "has just changed to",
}
_NEGATED: dict[Op, str] = {
    "contains": "does not contain",
    "starts_with": "does not start with",
    "exists": "is not known",
    "between": "is not between",
    "changed_to": "has not just changed to",
}
_COUNTED: dict[CountOp, str] = {
    "eq": "exactly",
    "ne": "not exactly",
    "gt": "more than",
    "gte": "at least",
    "lt": "fewer than",
    "lte": "at most",
}


def sentence(condition: Condition) -> str:
    """The condition in words: `the event's total is at least 50 and the profile is in …`."""
    match condition:
        case All(parts):
            return _joined(parts, " and ")
        case Any(parts):
            return _joined(parts, " or ")
        case Not(part):
            return _negation(part)
        case _:
            return _leaf(condition)


def _joined(parts: tuple[Condition, ...], word: str) -> str:
    if len(parts) == 1:
        return sentence(parts[0])
    return word.join(
        f"({sentence(part)})"
        if isinstance(part, All | Any) and len(part.parts) > 1
        else sentence(part)
        for part in parts
    )


def _negation(part: Condition) -> str:
    match part:
        case Compare(attr, "exists", value):
            return _leaf(Compare(attr, "exists", not value))
        case Compare(attr, op, value) if op in _NEGATED:
            return f"{_subject(attr)} {_NEGATED[op]} {_operand(op, value)}"
        case InSegment(segment):
            return f"the profile is not in the segment {_quoted(segment)}"
        case IsPersona(persona):
            return f"the persona is known and is not {_quoted(persona)}"
        case HasConsent(purpose, channel):
            return f"there is no consent for {_quoted(purpose)} on {_quoted(channel)}"
        case _:
            return f"it is not so that ({sentence(part)})"


def _leaf(leaf: Leaf) -> str:
    match leaf:
        case Compare(attr, "exists", value):
            return f"{_subject(attr)} {_WORDS['exists'] if value else _NEGATED['exists']}"
        case Compare(attr, op, value):
            return f"{_subject(attr)} {_WORDS[op]} {_operand(op, value)}"
        case EventCount():
            return _event(leaf)
        case InSegment(segment):
            return f"the profile is in the segment {_quoted(segment)}"
        case IsPersona(persona):
            return f"the persona is {_quoted(persona)}"
        case HasConsent(purpose, channel):
            return f"there is consent for {_quoted(purpose)} on {_quoted(channel)}"
        case _:
            assert_never(leaf)


def _event(leaf: EventCount) -> str:
    times = "time" if leaf.count == 1 else "times"
    text = f"{_quoted(leaf.event)} happened {_COUNTED[leaf.count_op]} {leaf.count} {times}"
    if leaf.within is not None:
        text += f" in the last {duration_in_words(leaf.within)}"
    return text if leaf.where is None else f"{text} where ({sentence(leaf.where)})"


def _subject(attr: str) -> str:
    location = locate(attr)
    name = ".".join(location.path)
    match location.root:
        case "profile":
            return f"the profile's {name}"
        case "computed":
            return f"the profile's computed {name}"
        case "event":
            return f"the event's {name}"
        case "household" | "account" if name == "id":
            return f"the profile's {location.root}"
        case "household" | "account":
            return f"the {location.root}'s {name}"
        case "links":
            return f"the list of the profile's {name}"
        case "context":
            return f"the context's {name}"
        case _:
            return f"the event's {location.root}"


def _operand(op: Op, value: Operand) -> str:
    if not isinstance(value, tuple):
        return _scalar(value)
    listed = [_scalar(element) for element in value[:MAX_LISTED]]
    if op == "between":
        return " and ".join(listed)
    if len(value) > MAX_LISTED:
        listed.append(f"{len(value) - MAX_LISTED} more")
    return listed[0] if len(listed) == 1 else f"{', '.join(listed[:-1])} or {listed[-1]}"


def _scalar(value: Scalar) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return _quoted(value) if isinstance(value, str) else str(value)


def _quoted(text: str) -> str:
    return f'"{text if len(text) <= MAX_TEXT else text[:MAX_TEXT] + "…"}"'
