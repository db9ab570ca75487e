"""A slow, plain reading of what a condition means, written from the text in `tree.py` alone.

It walks the JSON document with three truth values (None is unknown) and shares no code with the
back ends, but for the name of an event leaf's history.
"""

import re
from datetime import date
from fractions import Fraction
from typing import Any

from shared.conditions.facts import Facts
from shared.conditions.leaves import leaf_hash
from shared.conditions.parse import parse_condition
from shared.conditions.tree import EventCount

Truth = bool | None


def holds(document: Any, facts: Facts) -> bool:
    return truth(document, facts) is True


def truth(document: Any, facts: Facts) -> Truth:
    if "all" in document:
        return conjunction([truth(part, facts) for part in document["all"]])
    if "any" in document:
        return negation(conjunction([negation(truth(part, facts)) for part in document["any"]]))
    if "not" in document:
        return negation(truth(document["not"], facts))
    if "segment" in document:
        return any(segment == document["segment"] for segment in facts.segments)
    if "persona" in document:
        return None if facts.persona is None else bool(facts.persona == document["persona"])
    if "consent" in document:
        asked = document["consent"]
        exact = facts.consents.get((asked["purpose"], asked["channel"]))
        return (exact or facts.consents.get((asked["purpose"], "*"))) == "granted"
    if "event" in document:
        return counted(document, facts)
    return comparison(document["attr"], document["op"], document["value"], facts)


def conjunction(truths: list[Truth]) -> Truth:
    if False in truths:
        return False
    return None if None in truths else True


def negation(value: Truth) -> Truth:
    return None if value is None else not value


def counted(document: Any, facts: Facts) -> Truth:
    leaf = parse_condition(document, allow_event_leaves=True)
    assert isinstance(leaf, EventCount)
    state = facts.leaves.get(leaf_hash(leaf))
    if state is None:
        return None
    ((op, bound),) = document.get("count", {"gte": 1}).items()
    return ordered(op, state["count"], bound)


def look_up(attr: str, facts: Facts) -> Any:
    envelope = {
        "event.type": facts.event_type,
        "event.channel": facts.event_channel,
        "event.source": facts.event_source,
    }
    if attr in envelope:
        return envelope[attr]
    linked = {
        "profile.household": facts.household.get("id"),
        "profile.account": facts.account.get("id"),
        "profile.accounts": facts.links.get("accounts"),
    }
    if attr in linked:
        return linked[attr]
    root, *path = attr.split(".")
    value: Any = {
        "profile": {**facts.profile, "computed": dict(facts.computed)},
        "event": dict(facts.event),
        "context": dict(facts.context),
        "household": dict(facts.household),
        "account": dict(facts.account),
    }[root]
    for key in path:
        if not isinstance(value, dict) or key not in value:
            return None
        value = value[key]
    return value


def comparison(attr: str, op: str, operand: Any, facts: Facts) -> Truth:
    value = look_up(attr, facts)
    if op == "exists":
        return value is not None if operand else value is None
    if op == "changed_to":
        return has_changed(attr, operand, value, facts)
    return judged(op, value, operand)


def has_changed(attr: str, operand: Any, value: Any, facts: Facts) -> Truth:
    path = attr.removeprefix("profile.").split(".")
    trait = ".".join(path[:2]) if path[0] == "computed" else path[0]
    rest = path[2:] if path[0] == "computed" else path[1:]
    if trait not in facts.changed:
        return False
    before: Any = facts.changed[trait]
    for key in rest:
        before = before.get(key) if isinstance(before, dict) else None
    now = judged("eq", value, operand)
    return judged("eq", before, operand) is not True if now is True else now


def judged(op: str, value: Any, operand: Any) -> Truth:
    if value is None:
        return None
    if op in ("in", "nin"):
        every_time = all(is_time(element) for element in operand)
        found = [typed("eq", value, element, as_time=every_time) for element in operand]
        known = None if None in found else True in found
        return known if op == "in" else negation(known)
    if op == "between":
        low, high = operand
        return conjunction([judged("gte", value, low), judged("lte", value, high)])
    if op == "contains":
        if isinstance(value, list):
            return any(judged("eq", element, operand) is True for element in value)
        both = isinstance(value, str) and isinstance(operand, str)
        return bool(value.find(operand) >= 0) if both else None
    if op == "starts_with":
        return value[: len(operand)] == operand if isinstance(value, str) else None
    return typed(op, value, operand, as_time=is_time(operand))


def typed(op: str, value: Any, operand: Any, *, as_time: bool) -> Truth:
    if isinstance(operand, bool):
        return ordered(op, value, operand) if isinstance(value, bool) else None
    if isinstance(operand, str):
        if not isinstance(value, str):
            return None
        if as_time:
            instant = microseconds(value)
            return None if instant is None else ordered(op, instant, microseconds(operand))
        return ordered(op, [ord(x) for x in value], [ord(x) for x in operand])
    number = exact(value)
    return None if number is None else ordered(op, number, exact(operand))


def exact(value: Any) -> Fraction | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        spelled = re.match(r"^-?(0|[1-9][0-9]*)([.][0-9]+)?\Z", value)
        if spelled is None or len(value) > 40:
            return None
        return Fraction(float(value)) if "." in value else Fraction(int(value))
    return Fraction(value) if isinstance(value, int | float) else None


def is_time(value: Any) -> bool:
    return isinstance(value, str) and microseconds(value) is not None


def microseconds(text: str) -> int | None:
    """Microseconds since the first day of year 1, UTC."""
    parts = re.match(
        r"^(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)([.]\d{1,12})?([Zz]|[+-]\d\d:\d\d)\Z",
        text,
        re.ASCII,
    )
    if parts is None:
        return None
    year, month, day, hour, minute, second = (int(parts[group]) for group in range(1, 7))
    zone = parts[8]
    ahead = 0 if zone in "Zz" else int(zone[1:3]) * 60 + int(zone[4:6])
    if hour > 23 or minute > 59 or second > 59 or ahead >= 24 * 60:
        return None
    if zone not in "Zz" and int(zone[4:6]) > 59:
        return None
    try:
        days = date(year, month, day).toordinal()
    except ValueError:
        return None
    fraction = int((parts[7] or ".0")[1:].ljust(6, "0")[:6])
    seconds = ((days * 24 + hour) * 60 + minute) * 60 + second
    seconds += -ahead * 60 if zone[0] != "-" else ahead * 60
    return seconds * 1_000_000 + fraction


def ordered(op: str, left: Any, right: Any) -> bool:
    answers: dict[str, bool] = {
        "eq": left == right,
        "ne": left != right,
        "gt": not isinstance(left, bool) and left > right,
        "gte": not isinstance(left, bool) and left >= right,
        "lt": not isinstance(left, bool) and left < right,
        "lte": not isinstance(left, bool) and left <= right,
    }
    return answers[op]
