"""What people are searched by: identifiers as they are stored, and names without case and accents.

A match has a place: how it matched, then the text. Places order the results; a profile that matches
in several ways stands at its first place. Pure.
"""

import unicodedata
from collections.abc import Iterable, Mapping
from enum import IntEnum
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

MAX_NAME = 100
MAX_QUERY = 200
LEAST_PREFIX = 2
"""A single letter would match a part of everybody."""

_WITHOUT_ACCENT = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "æ": "ae", "œ": "oe", "ı": "i", "þ": "th", "ð": "d"}
)
"""Letters that no decomposition takes apart."""
_ASCII_LOWER = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")


class How(IntEnum):
    """How something matched, the best first."""

    EXACT = 0
    IDENTIFIER = 1
    NAME = 2
    """First name, or first and last name, begin with the words."""
    NAME_REVERSED = 3
    """Last name, or last and first name, begin with the words."""


class Place(NamedTuple):
    """Where a match stands among the results; `text` is what matched, as it is compared."""

    how: How
    text: str


class Names(NamedTuple):
    """A name as it is searched, both ways round; the second is empty where it would be the same."""

    first_last: str
    last_first: str


class Match(NamedTuple):
    """Why a profile is a result. `type` is that of the identifier, None for a name."""

    place: Place
    type: str | None
    value: str


NAMELESS = Names("", "")


class Query(NamedTuple):
    """What is looked for. `exact` are identifiers in their lowered forms; `prefix` and `name` are
    None where only whole identifiers may be found."""

    exact: tuple[str, ...]
    prefix: str | None
    name: str | None


@lru_cache(maxsize=16_384)
def fold(text: str) -> str:
    """A name in lower case, without accents, with single spaces."""
    if not text.isascii():
        parts = unicodedata.normalize("NFKD", text.casefold().translate(_WITHOUT_ACCENT))
        text = "".join(one for one in parts if not unicodedata.combining(one))
    return " ".join(text.casefold().replace("\0", " ").split())


def lowered(value: str) -> str:
    """An identifier as it is compared: A to Z in lower case, and nothing else."""
    return value.translate(_ASCII_LOWER)


def names_of(traits: Mapping[str, Any]) -> Names:
    """The name in the traits `first_name` and `last_name`."""
    first, last = (_folded(traits.get(name)) for name in ("first_name", "last_name"))
    if first and last:
        return Names(f"{first} {last}", f"{last} {first}")
    return Names(first or last, "")


def names_in(best: Mapping[str, bytes]) -> Names:
    """The same of surviving traits, each as JSON."""
    if "first_name" not in best and "last_name" not in best:
        return NAMELESS
    return names_of(
        {
            name: msgspec.json.decode(best[name])
            for name in ("first_name", "last_name")
            if name in best
        }
    )


def query_of(text: str, forms: Iterable[str], *, prefixes: bool) -> Query:
    """The query for what a person typed; `forms` is the same as an identifier of some type.

    Without `prefixes`, or for too short a text, only whole identifiers are found.
    """
    typed = text.strip()
    exact = tuple(sorted({lowered(form) for form in (typed, *forms)}))
    if not prefixes or len(typed) < LEAST_PREFIX:
        return Query(exact, None, None)
    bare = "".join(one for one in typed if one not in " -./()") if typed[0] == "+" else typed
    return Query(exact, lowered(bare), fold(typed) or None)


def matches(
    identifiers: Iterable[tuple[str, str]], names: Names, shown_name: str, query: Query
) -> list[Match]:
    """Why somebody is a result, the best reason first; empty: they are none."""
    found = []
    for type_, value in identifiers:
        text = lowered(value)
        if text in query.exact:
            found.append(Match(Place(How.EXACT, text), type_, value))
        elif query.prefix is not None and text.startswith(query.prefix):
            found.append(Match(Place(How.IDENTIFIER, text), type_, value))
    if query.name is not None:
        for how, text in zip((How.NAME, How.NAME_REVERSED), names, strict=True):
            if text and text.startswith(query.name):
                found.append(Match(Place(how, text), None, shown_name))
    return sorted(found, key=lambda match: (match.place, match.type or ""))


def _folded(value: Any) -> str:
    return fold(value)[:MAX_NAME].strip() if isinstance(value, str) else ""
