"""Whether bytes that nobody could read name a person: by the values of identifiers, as written.

A value counts where it stands by itself: neither a letter nor a digit goes on before or behind it.
So `u1` is not found in `u12`. Short values count only as a whole JSON text, for otherwise any
number would be somebody.
"""

import json
import re
from collections.abc import Iterable, Sequence

import orjson

SHORTEST_BARE = 6
"""A value of fewer characters only counts between quotation marks."""


def needles(values: Iterable[str]) -> list[bytes]:
    """What has to stand in bytes that name one of the values, in lower case."""
    return sorted({form for value in values for form in _forms(value)})


def names(bytes_: Iterable[bytes | None], values: Sequence[str]) -> bool:
    """Whether one of the pieces names one of the values, in upper or lower case."""
    pattern = _pattern(values)
    return pattern is not None and any(pattern.search(each) for each in bytes_ if each)


def _forms(value: str) -> list[bytes]:
    quoted = orjson.dumps(value).lower()
    forms = [quoted if len(value) < SHORTEST_BARE else quoted[1:-1]]
    if len(value) >= SHORTEST_BARE and not value.isascii():
        forms.append(json.dumps(value)[1:-1].encode().lower())
    if len(value) >= SHORTEST_BARE and value.startswith("+"):
        forms.append(value[1:].encode().lower())
    if "@" in value:
        forms.append(value.replace("@", "%40").encode().lower())
    return forms


def _pattern(values: Iterable[str]) -> re.Pattern[bytes] | None:
    parts = [_alone(form) for value in values for form in _forms(value)]
    return re.compile(b"|".join(parts), re.IGNORECASE) if parts else None


def _alone(form: bytes) -> bytes:
    if form.startswith(b'"'):
        return re.escape(form)
    return rb"(?<![a-z0-9])" + re.escape(form) + rb"(?![a-z0-9])"
