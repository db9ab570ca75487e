"""Reading one field of a decoded event: the type is checked, null counts as absent.

A field of the wrong type refuses the whole event as `spec_violation` with the field's path: an
event that is half understood would be worse than one that waits in the dead letters.
"""

from typing import Any

from shared.errors import InvalidData

MAX_TEXT = 256
"""Longest type, source, id, schema or name of an event, in characters."""

VIOLATION = "spec_violation"

Object = dict[str, Any]


def violation(path: str, detail: str) -> InvalidData:
    """The refusal of an event that is JSON but breaks the rules of its dialect."""
    return InvalidData(VIOLATION, detail, path)


def as_object(value: Any, path: str) -> Object:
    """`value` if it is an object; an empty one for null."""
    if isinstance(value, dict):
        return value
    if value is None:
        return {}
    raise violation(path, f"must be an object, is {kind_of(value)}")


def object_at(event: Object, name: str) -> Object:
    """The object in field `name`, empty when absent."""
    return as_object(event.get(name), name)


def text_at(event: Object, name: str) -> str | None:
    """The text in field `name` without white space around it; None when absent or blank."""
    value = event.get(name)
    if value is None:
        return None
    if not isinstance(value, str):
        raise violation(name, f"must be a text, is {kind_of(value)}")
    value = value.strip()
    if len(value) > MAX_TEXT:
        raise violation(name, f"is longer than {MAX_TEXT} characters")
    return value or None


def required_text(event: Object, name: str) -> str:
    """As `text_at`, but it has to be there."""
    value = text_at(event, name)
    if value is None:
        raise violation(name, "is required")
    return value


def id_at(event: Object, name: str) -> str | None:
    """As `text_at`, for ids: whole numbers are taken too, written as text."""
    value = event.get(name)
    if type(value) is int:
        return str(value)
    return text_at(event, name)


def flag_at(event: Object, name: str) -> bool:
    """The truth value in field `name`, False when absent."""
    value = event.get(name)
    if value is None or isinstance(value, bool):
        return bool(value)
    raise violation(name, f"must be true or false, is {kind_of(value)}")


def kind_of(value: Any) -> str:
    """What JSON calls the type of `value`."""
    if isinstance(value, bool):
        return "true or false"
    names: list[tuple[type, str]] = [
        (dict, "an object"),
        (list, "a list"),
        (str, "a text"),
        (int, "a number"),
        (float, "a number"),
    ]
    return next((name for kind, name in names if isinstance(value, kind)), "null")
