"""Segments and personas as people write them: read from JSON, with every mistake named."""

from collections.abc import Mapping
from dataclasses import dataclass

from shared.conditions.facts import of_profile
from shared.conditions.leaves import leaves_of
from shared.conditions.mistakes import did_you_mean
from shared.conditions.operands import MAX_TEXT
from shared.conditions.parse import read_condition
from shared.conditions.tree import Compare, Condition, EventCount
from shared.errors import Problem, Unprocessable

MAX_BOUND = 1_000
"""A window is asked about at most so many touchpoints: their instants are kept."""
MAX_ORDER = 1_000_000
LISTS_ATTRIBUTE = "profile.lists"


@dataclass(frozen=True, slots=True)
class Segment:
    """A named condition over a profile and its touchpoints.

    Of a static list the condition is that somebody put the profile on it.
    """

    key: str
    name: str
    condition: Condition
    static: bool = False


@dataclass(frozen=True, slots=True)
class Persona:
    """A buyer persona: a profile has the first one, by `order` and key, whose condition holds."""

    key: str
    name: str
    order: int
    condition: Condition


def parse_segment(document: Mapping[str, object], *, key: str) -> Segment:
    """Raises Unprocessable with every mistake."""
    problems: list[Problem] = []
    static = is_static(document)
    fields = ("name", "description", "static" if static else "condition")
    _refuse_unknown(document, fields, problems)
    _same_key(document, key, problems)
    name = _text(document, "name", key, problems)
    _text(document, "description", "", problems)
    condition: Condition | None = Compare(LISTS_ATTRIBUTE, "contains", key)
    if not static:
        condition = read_profile_condition(document.get("condition"), problems)
    if problems or condition is None:
        raise Unprocessable(f"segment {key} breaks rules", problems)
    return Segment(key, name, condition, static)


def is_static(document: Mapping[str, object]) -> bool:
    """Whether a segment is a static list."""
    return document.get("static") is True


def parse_persona(document: Mapping[str, object], *, key: str) -> Persona:
    """Raises Unprocessable with every mistake."""
    problems: list[Problem] = []
    _refuse_unknown(document, ("name", "description", "order", "condition"), problems)
    _same_key(document, key, problems)
    name = _text(document, "name", key, problems)
    _text(document, "description", "", problems)
    order = document.get("order", 0)
    if type(order) is not int or not 0 <= order <= MAX_ORDER:
        problems.append(
            Problem("order", "number_range", f"must be a whole number, 0 to {MAX_ORDER}")
        )
    condition = read_profile_condition(document.get("condition"), problems)
    if problems or condition is None or type(order) is not int:
        raise Unprocessable(f"persona {key} breaks rules", problems)
    return Persona(key, name, order, condition)


def read_profile_condition(
    document: object, problems: list[Problem], *, path: str = "condition"
) -> Condition | None:
    """A condition that a profile and its history can answer; None, and problems, when it is none.

    There is no event at hand when a profile is looked at, so `event.*`, `context.*` and
    `changed_to` are mistakes outside the `where` of an event leaf.
    """
    found: list[Problem] = []
    condition = read_condition(document, found, path=path, allow_event_leaves=True)
    if condition is not None:
        for leaf in leaves_of(condition):
            match leaf:
                case Compare(attr, op) if not of_profile(attr) or op == "changed_to":
                    message = f"{attr} {op}: there is no event at hand when a profile is looked at"
                    found.append(Problem(path, "profile_only", message))
                case EventCount(within=within, count=bound) if within and bound > MAX_BOUND:
                    message = f"a window is asked about at most {MAX_BOUND} touchpoints"
                    found.append(Problem(path, "number_range", message))
                case _:
                    pass
    problems.extend(found)
    return None if found else condition


def _refuse_unknown(
    document: Mapping[str, object], known: tuple[str, ...], problems: list[Problem]
) -> None:
    for name in document:
        if name not in known and name != "key":
            hint = did_you_mean(name, known)
            problems.append(Problem(name[:100], "unknown_field", f"is no field here.{hint}"))


def _same_key(document: Mapping[str, object], key: str, problems: list[Problem]) -> None:
    if document.get("key", key) != key:
        problems.append(Problem("key", "key", f"the path says {key}"))


def _text(document: Mapping[str, object], name: str, default: str, problems: list[Problem]) -> str:
    value = document.get(name, default)
    if isinstance(value, str) and len(value) <= MAX_TEXT and "\0" not in value:
        return value
    problems.append(Problem(name, "type", f"must be a text of at most {MAX_TEXT} characters"))
    return default
