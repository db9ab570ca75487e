"""Identifiers as a publisher wrote them to the one form that identity resolution compares.

Every value: Unicode NFKC, no white space around it. E-mail addresses also lower case (dots and
plus tags stay: they are different mailboxes at many providers), phones E.164, `profile_id` a UUID
in lower case. A value that names nobody (`null`, `anonymous`, zeros) or that cannot be what its
type says does not become an identifier: the caller records it beside the event with the reason, and
the event goes on without it, because one bad phone number must not cost a purchase.
"""

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from typing import Any
from uuid import UUID

import phonenumbers

from services.ingest.domain.fields import kind_of, violation
from shared.contracts.touchpoint import Identifier

MAX_VALUE = 512
"""Longest identifier value in characters."""
MAX_IDENTIFIERS = 100
"""Most identifiers one event may name."""

PROFILE_ID = "profile_id"
"""Reserved: echoed by channel systems that answer an action; resolves, never creates or merges."""

BLOCKED, INVALID, TOO_LONG, RESERVED = "blocked", "invalid", "too_long", "reserved"

_TYPE = re.compile(r"[a-z][a-z0-9_.]{0,63}")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")
_NAMES_NOBODY = frozenset(
    (
        *("null", "undefined", "none", "nil", "nan", "void", "n/a", "na", "-1", "true", "false"),
        *("anonymous", "guest", "unknown", "not_authenticated", "[object object]"),
        *("id", "email", "distinct_id", "distinctid", "user_id", "userid"),
    )
)
_STRENGTH = {PROFILE_ID: 0, "user_id": 1, "anonymous_id": 100, "device_id": 100}
_DEFAULT_STRENGTH = 5

Candidate = tuple[str, str | None]
"""(type, value) as the publisher wrote it; None stands for null."""


def read_identifiers(value: Any) -> list[Candidate]:
    """The list `[{"type","value"}, …]` of an event; whole numbers are taken as text.

    Raises InvalidData `spec_violation` for anything else.
    """
    if value is None:
        return []
    if not isinstance(value, list):
        raise violation("identifiers", f"must be a list, is {kind_of(value)}")
    found: list[Candidate] = []
    for index, item in enumerate(value):
        if not isinstance(item, dict):
            raise violation(f"identifiers[{index}]", f"must be an object, is {kind_of(item)}")
        type_, content = item.get("type"), item.get("value")
        if not isinstance(type_, str) or not _TYPE.fullmatch(type_):
            raise violation(
                f"identifiers[{index}].type", "must be a lower-case word such as user_id"
            )
        if type(content) is int:
            content = str(content)
        elif content is not None and not isinstance(content, str):
            path = f"identifiers[{index}].value"
            raise violation(path, f"must be a text, is {kind_of(content)}")
        found.append((type_, content))
    return found


def normalise_all(
    candidates: Iterable[Candidate], region: str | None
) -> tuple[list[Identifier], list[dict[str, Any]]]:
    """Identifiers in one form, each once, in order; and what was dropped, with the reason.

    Raises InvalidData `spec_violation` when there are more than MAX_IDENTIFIERS.
    """
    kept: dict[Identifier, None] = {}
    dropped: list[dict[str, Any]] = []
    for type_, value in candidates:
        normalised, reason = normalise(type_, value, region)
        if reason is None:
            kept[Identifier(type_, normalised)] = None
        else:
            dropped.append({"type": type_, "value": value, "reason": reason})
    if len(kept) + len(dropped) > MAX_IDENTIFIERS:
        raise violation("identifiers", f"more than {MAX_IDENTIFIERS} identifiers")
    return list(kept), dropped


def normalise(type_: str, value: str | None, region: str | None) -> tuple[str, str | None]:
    """The normalised value and None, or anything and the reason why it is no identifier.

    `region` (ISO 3166, two letters) is where a phone number without a country code belongs.
    """
    if value is None:
        return "", BLOCKED
    if len(value) > MAX_VALUE:
        return "", TOO_LONG
    if not value.isascii():
        value = unicodedata.normalize("NFKC", value)
    value = value.strip()
    if names_nobody(value):
        return "", BLOCKED
    if type_ == "email":
        value = unicodedata.normalize("NFKC", value.lower())
        return value, None if _EMAIL.fullmatch(value) else INVALID
    if type_ == "phone":
        phone = _e164(value, region)
        return phone or "", None if phone else INVALID
    if type_ == PROFILE_ID:
        return _uuid(value)
    return value, None


def names_nobody(value: str) -> bool:
    """Whether a value stands for "no value": blank, zeros, `null`, `anonymous`; also in quotes."""
    bare = value.strip("'\" ")
    return not bare.strip("0-") or bare.lower() in _NAMES_NOBODY


def is_type(value: str) -> bool:
    """Whether `value` can name an identifier type."""
    return _TYPE.fullmatch(value) is not None


def strongest(identifiers: list[Identifier]) -> Identifier | None:
    """The identifier that says most about who it is; the same one whatever their order.

    It keys the touchpoint, so that events of one person mostly meet in one partition.
    """
    if len(identifiers) < 2:
        return identifiers[0] if identifiers else None
    return min(identifiers, key=_rank)


def _rank(identifier: Identifier) -> tuple[int, str, str]:
    strength = _STRENGTH.get(identifier.type, _DEFAULT_STRENGTH)
    return strength, identifier.type, identifier.value


@lru_cache(maxsize=16_384)
def _e164(value: str, region: str | None) -> str | None:
    """E.164, or None. A number with an extension is None: many people share its trunk."""
    try:
        number = phonenumbers.parse(value, region)
    except phonenumbers.NumberParseException:
        return None
    if number.extension or not phonenumbers.is_possible_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def _uuid(value: str) -> tuple[str, str | None]:
    try:
        return str(UUID(value)), None
    except ValueError:
        return "", INVALID
