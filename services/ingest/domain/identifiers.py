"""Identifiers as a publisher wrote them to the one form that identity resolution compares.

A value that names nobody (`null`, `anonymous`, zeros) or that cannot be what its type says does not
become an identifier: the caller records it beside the event with the reason, and the event goes on
without it, because one bad phone number must not cost a purchase.
"""

import re
from collections.abc import Iterable
from typing import Any

from services.ingest.domain.fields import kind_of, violation
from shared.contracts.identifier_form import form_of, plain
from shared.contracts.identifiers import (
    DEFAULT_PRIORITY,
    MAX_PER_TOUCHPOINT,
    MAX_TYPE,
    MAX_VALUE,
    PRIORITIES,
    RESERVED_TYPE,
    names_nobody,
)
from shared.contracts.touchpoint import Identifier

BLOCKED, INVALID, TOO_LONG, RESERVED = "blocked", "invalid", "too_long", "reserved"

_TYPE = re.compile(rf"[a-z][a-z0-9_.]{{0,{MAX_TYPE - 1}}}")
_STRENGTH = {**PRIORITIES, RESERVED_TYPE: 0}

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

    Raises InvalidData `spec_violation` when there are more than MAX_PER_TOUCHPOINT.
    """
    kept: dict[Identifier, None] = {}
    dropped: list[dict[str, Any]] = []
    for type_, value in candidates:
        normalised, reason = normalise(type_, value, region)
        if reason is None:
            kept[Identifier(type_, normalised)] = None
        else:
            dropped.append({"type": type_, "value": value, "reason": reason})
    if len(kept) + len(dropped) > MAX_PER_TOUCHPOINT:
        raise violation("identifiers", f"more than {MAX_PER_TOUCHPOINT} identifiers")
    return list(kept), dropped


def normalise(type_: str, value: str | None, region: str | None) -> tuple[str, str | None]:
    """The normalised value and None, or anything and the reason why it is no identifier.

    `region` (ISO 3166, two letters) is where a phone number without a country code belongs.
    """
    if value is None:
        return "", BLOCKED
    if len(value) > MAX_VALUE:
        return "", TOO_LONG
    value = plain(value)
    if names_nobody(value):
        return "", BLOCKED
    form = form_of(type_, value, region)
    return ("", INVALID) if form is None else (form, None)


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
    strength = _STRENGTH.get(identifier.type, DEFAULT_PRIORITY)
    return strength, identifier.type, identifier.value
