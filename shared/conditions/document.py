"""Reads the fields of configuration documents and notes every mistake with its path.

A `Fields` stands for one object of the document. Each method reads one field, notes what is wrong
with it and then goes on with a harmless value, so that an author sees all mistakes at once; the
document counts only if none was noted. Unknown fields are mistakes. Never raises for bad input.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

from shared.conditions.duration import duration_in_words, parse_duration
from shared.conditions.leaves import leaves_of
from shared.conditions.mistakes import Mistakes, did_you_mean, shown
from shared.conditions.parse import read_condition
from shared.conditions.tree import Compare, Condition
from shared.conditions.values import read_time

KEY = re.compile(r"[a-z0-9][a-z0-9_.-]{0,99}")
MAX_TEXT = 200
MAX_NUMBER = 1e12

T = TypeVar("T")


class Fields:
    """The fields of one object; `later` maps fields of the contract that are not served yet to
    the sentence that refuses them."""

    def __init__(
        self,
        mistakes: Mistakes,
        document: object,
        path: str,
        known: Sequence[str],
        later: Mapping[str, str] | None = None,
    ) -> None:
        self.mistakes = mistakes
        self.path = path
        self._document: dict[str, object] = {}
        if not isinstance(document, dict):
            mistakes.add(path or "$", "type", f"must be an object, not {shown(document)}")
            return
        self._document = document
        for name in document:
            if later is not None and name in later:
                if document[name] is not None:
                    mistakes.add(self.place(name), "not_available", later[name])
            elif name not in known:
                hint = did_you_mean(str(name), known)
                place = self.place(shown(name)[1:-1] or '""')
                mistakes.add(place, "unknown_field", f"is no field.{hint}")

    def place(self, name: str) -> str:
        """The path of a field of this object."""
        return f"{self.path}.{name}" if self.path else name

    def has(self, name: str) -> bool:
        """Whether the field is there with a value; null counts as absent."""
        return self._document.get(name) is not None

    def value(self, name: str) -> object:
        """The value as it is; None when absent."""
        return self._document.get(name)

    def wrong(self, name: str, rule: str, message: str) -> None:
        """Note a mistake in a field."""
        self.mistakes.add(self.place(name), rule, message)

    def required(self, name: str) -> bool:
        """Whether the field is there; a mistake when not."""
        if not self.has(name):
            self.wrong(name, "required", "is missing")
        return self.has(name)

    def text(self, name: str, *, limit: int = MAX_TEXT) -> str | None:
        """A string that is not empty, can be stored and has at most `limit` characters."""
        value = self.value(name)
        if value is None:
            return None
        if not isinstance(value, str) or not value:
            self.wrong(name, "type", f"must be a string that is not empty, not {shown(value)}")
        elif len(value) > limit:
            self.wrong(name, "max_length", f"has {len(value)} characters, at most {limit} allowed")
        elif "\x00" in value or any("\ud800" <= letter <= "\udfff" for letter in value):
            self.wrong(name, "text", "must not hold U+0000 or half a surrogate pair")
        else:
            return value
        return None

    def key(self, name: str) -> str | None:
        """The name of another thing, as keys are written."""
        value = self.text(name)
        if value is not None and KEY.fullmatch(value) is None:
            self.wrong(name, "key", "is lower-case letters, digits, '_', '-' and '.', at most 100")
            return None
        return value

    def same_key(self, key: str) -> None:
        """The field `key`, which may be repeated in the body, says what the path says."""
        if self.has("key") and self.value("key") != key:
            self.wrong("key", "same_key", f"is {shown(self.value('key'))}, but the path says {key}")

    def choice(self, name: str, choices: Sequence[str], default: str) -> str:
        """One of a few words."""
        value = self.value(name)
        if value is None:
            return default
        if isinstance(value, str) and value in choices:
            return value
        hint = did_you_mean(value, choices) if isinstance(value, str) else ""
        self.wrong(name, "choice", f"{shown(value)} is none of {', '.join(choices)}.{hint}")
        return default

    def boolean(self, name: str, *, default: bool) -> bool:
        """true or false."""
        value = self.value(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            self.wrong(name, "type", f"must be true or false, not {shown(value)}")
            return default
        return value

    def whole(self, name: str, default: int, low: int, high: int) -> int:
        """A whole number between two bounds, both included."""
        value = self.value(name)
        if value is None:
            return default
        if type(value) is not int or not low <= value <= high:
            self.wrong(name, "number_range", f"must be a whole number from {low} to {high}")
            return default
        return value

    def number(self, name: str, default: float, low: float, high: float) -> float:
        """A number between two bounds, both included."""
        value = self.value(name)
        if value is None:
            return default
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not low <= value <= high
        ):
            self.wrong(name, "number_range", f"must be a number from {low:g} to {high:g}")
            return default
        return float(value)

    def duration(
        self, name: str, default: timedelta, high: timedelta, *, zero: bool = False
    ) -> timedelta:
        """An ISO 8601 duration of fixed length, at most `high`; PT0S only where `zero` says so."""
        value = self.value(name)
        if value is None:
            return default
        if zero and value in ("PT0S", "P0D"):
            return timedelta(0)
        length = parse_duration(value) if isinstance(value, str) else None
        if length is None:
            self.wrong(
                name, "duration", f"{shown(value)} is no ISO 8601 duration such as PT12H or P7D"
            )
        elif length > high:
            self.wrong(name, "duration", f"must be at most {duration_in_words(high)}")
        else:
            return length
        return default

    def instant(self, name: str) -> datetime | None:
        """An RFC 3339 date-time with an offset."""
        value = self.value(name)
        if value is None:
            return None
        instant = read_time(value)
        if not isinstance(instant, datetime):
            self.wrong(
                name, "time", f"{shown(value)} is no RFC 3339 time such as 2026-11-01T00:00:00Z"
            )
            return None
        return instant

    def condition(self, name: str, *, event_leaves: bool = False) -> Condition | None:
        """A condition without `changed_to`; with event leaves only where `event_leaves` says so."""
        value = self.value(name)
        if value is None:
            return None
        return self.condition_of(value, self.place(name), event_leaves=event_leaves)

    def condition_of(
        self, value: object, path: str, *, changes: bool = False, event_leaves: bool = False
    ) -> Condition | None:
        """The condition in a value that stands at `path`; `changes`: it may ask what a trait has
        just changed to; `event_leaves`: it may count past touchpoints."""
        condition = read_condition(
            value, self.mistakes.problems, path=path, allow_event_leaves=event_leaves
        )
        if (
            not changes
            and condition is not None
            and any(
                isinstance(leaf, Compare) and leaf.op == "changed_to"
                for leaf in leaves_of(condition)
            )
        ):
            only = (
                '"changed_to" is not available here: it is for "where" of a trait_changed trigger'
            )
            self.mistakes.add(path, "not_available", only)
        return condition

    def nested(
        self,
        name: str,
        read: Callable[["Fields"], T],
        known: Sequence[str],
        later: Mapping[str, str] | None = None,
    ) -> T:
        """A nested object; when it is absent, `read` sees one without fields."""
        value = self.value(name) if self.has(name) else {}
        return read(Fields(self.mistakes, value, self.place(name), known, later))

    def items(self, name: str, limit: int) -> Iterator[tuple[str, object]]:
        """The elements of a list with their paths; a mistake when it is none or too long."""
        value = self.value(name)
        if value is None:
            return
        if not isinstance(value, list):
            self.wrong(name, "type", f"must be a list, not {shown(value)}")
        elif len(value) > limit:
            self.wrong(name, "max_items", f"has {len(value)} elements, at most {limit} allowed")
        else:
            for place, element in enumerate(value):
                yield f"{self.place(name)}[{place}]", element
