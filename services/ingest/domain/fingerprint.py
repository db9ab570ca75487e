"""Which failures are the same mistake: a fingerprint of everything but the values of one event."""

import hashlib
import re

LENGTH = 32
"""Hexadecimal digits; 128 bits are enough for as many groups as there can be."""

_QUOTED = re.compile(
    r"(?<!\w)'(?:[^'\\]|\\.)*(?:'|\Z)|\"(?:[^\"\\]|\\.)*(?:\"|\Z)|`[^`]*(?:`|\Z)", re.DOTALL
)
_NUMBER = re.compile(r"\d+(?:\.\d+)?")


def unquoted(text: str) -> str:
    """The text without quoted values, which are an event's own, and without width of spaces."""
    return " ".join(_QUOTED.sub("'…'", text).split())


def normalised(text: str) -> str:
    """The text without what differs between two events: quoted values and numbers."""
    return _NUMBER.sub("0", unquoted(text))


def fingerprint(
    reason: str, path: str | None, message: str, source: str | None, event_type: str | None
) -> str:
    """The group of a failure, LENGTH hexadecimal digits. An index in the path does not matter."""
    parts = (reason, normalised(path or ""), normalised(message), source or "", event_type or "")
    return hashlib.sha256("\0".join(parts).encode("utf-8", "replace")).hexdigest()[:LENGTH]
