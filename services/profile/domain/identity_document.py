"""The rules of identity as a person writes them, and the one way from that document to the rules.

What the document leaves out holds as built in: a type that is not named keeps its default.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, get_args

import jsonschema_rs

from services.profile.domain.identity import (
    MAX_IDENTIFIERS,
    MAX_MERGES,
    Blocks,
    IdentifierType,
    IdentityRules,
    Normaliser,
    Role,
    is_type,
)
from shared.conditions.document import Fields
from shared.conditions.duration import format_duration
from shared.conditions.mistakes import Mistakes, shown
from shared.contracts.identifiers import MAX_VALUE, RESERVED_TYPE
from shared.errors import Unprocessable

KEY = "default"
"""There is one set of rules."""

MAX_TYPES = 100
MAX_BLOCKED = 500
MAX_PATTERN = 200
MAX_LIMIT = 1000
MAX_PRIORITY = 1000
MOST_IDENTIFIERS = 10_000
MOST_MERGES = 10_000
MAX_WITHIN = timedelta(days=3650)

_ROLES: tuple[Role, ...] = get_args(Role)
_NORMALISERS: tuple[Normaliser, ...] = get_args(Normaliser)
_TYPE_FIELDS = ("priority", "limit", "within", "veto", "role", "normaliser")
_FIELDS = ("key", "types", "blocked", "max_identifiers", "max_merges")
_patterns = jsonschema_rs.RegexOptions(size_limit=64 * 1024, dfa_size_limit=1024 * 1024)


def parse_identity_rules(document: object, *, version: int) -> IdentityRules:
    """The rules of a decoded JSON document. Raises Unprocessable with one problem for each
    mistake."""
    mistakes = Mistakes()
    fields = Fields(mistakes, document, "", _FIELDS)
    fields.same_key(KEY)
    types = dict(IdentityRules().types)
    for name, value in _named(fields).items():
        types[name] = _type(mistakes, name, value, types.get(name))
    rules = IdentityRules(
        types=types,
        blocked=_blocked(mistakes, fields),
        max_identifiers=fields.whole("max_identifiers", MAX_IDENTIFIERS, 1, MOST_IDENTIFIERS),
        max_merges=fields.whole("max_merges", MAX_MERGES, 0, MOST_MERGES),
        version=version,
    )
    if mistakes.problems:
        raise Unprocessable("the identity rules break rules", mistakes.problems)
    return rules


def default_document() -> dict[str, Any]:
    """The document of what is built in."""
    rules = IdentityRules()
    return {
        "types": {name: _written(type_) for name, type_ in sorted(rules.types.items())},
        "blocked": [],
        "max_identifiers": rules.max_identifiers,
        "max_merges": rules.max_merges,
    }


def _written(type_: IdentifierType) -> dict[str, Any]:
    return {
        "priority": type_.priority,
        "limit": type_.limit,
        "within": None if type_.within is None else format_duration(type_.within),
        "veto": type_.veto,
        "role": type_.role,
        "normaliser": type_.normaliser,
    }


def _named(fields: Fields) -> Mapping[str, object]:
    value = fields.value("types")
    if value is None:
        return {}
    if not isinstance(value, dict):
        fields.wrong("types", "type", f"must be an object, not {shown(value)}")
        return {}
    if len(value) > MAX_TYPES:
        fields.wrong("types", "max_items", f"has {len(value)} types, at most {MAX_TYPES} allowed")
        return {}
    return value


def _type(
    mistakes: Mistakes, name: str, value: object, built_in: IdentifierType | None
) -> IdentifierType:
    fields = Fields(mistakes, value, f"types.{name}", _TYPE_FIELDS)
    if name == RESERVED_TYPE or not is_type(name):
        mistakes.add(f"types.{name}", "type_name", "is reserved or no name of a type")
    default = built_in or IdentifierType(name)
    within = default.within
    if fields.has("within"):
        within = fields.duration("within", timedelta(days=1), MAX_WITHIN)
    elif isinstance(value, dict) and "within" in value:
        within = None
    role = fields.choice("role", _ROLES, default.role)
    normaliser = fields.choice("normaliser", _NORMALISERS, default.normaliser)
    veto = fields.boolean("veto", default=default.veto)
    if veto and role != "person":
        fields.wrong("veto", "role", "only a type with the role person can tell persons apart")
    return IdentifierType(
        name,
        priority=fields.whole("priority", default.priority, 1, MAX_PRIORITY),
        limit=1 if veto else fields.whole("limit", default.limit, 1, MAX_LIMIT),
        within=None if veto else within,
        veto=veto,
        role=next(one for one in _ROLES if one == role),
        normaliser=next(one for one in _NORMALISERS if one == normaliser),
    )


def _blocked(mistakes: Mistakes, fields: Fields) -> dict[str, Blocks]:
    exact: dict[str, set[str]] = {}
    patterns: dict[str, list[str]] = {}
    for path, value in fields.items("blocked", MAX_BLOCKED):
        one = Fields(mistakes, value, path, ("type", "kind", "value", "reason"))
        type_ = one.text("type") or "*"
        kind = one.choice("kind", ("exact", "regex"), "exact")
        one.text("reason", limit=500)
        if not one.required("value"):
            continue
        text = one.text("value", limit=MAX_PATTERN if kind == "regex" else MAX_VALUE)
        if text is None:
            continue
        if kind == "exact":
            exact.setdefault(type_, set()).add(text.casefold())
        elif _compiled([text]) is None:
            one.wrong("value", "pattern", "is no pattern of linear time: no look-around, no \\1")
        else:
            patterns.setdefault(type_, []).append(text)
    return {
        type_: _blocks(frozenset(exact.get(type_, ())), patterns.get(type_, []))
        for type_ in exact.keys() | patterns.keys()
    }


def _blocks(values: frozenset[str], patterns: list[str]) -> Blocks:
    matcher = _compiled(patterns) if patterns else None

    def blocks(value: str) -> bool:
        return value.casefold() in values or (matcher is not None and matcher.is_valid(value))

    return blocks


def _compiled(patterns: list[str]) -> jsonschema_rs.Draft202012Validator | None:
    """One matcher for all patterns, in time linear in the value; None if one of them is none."""
    try:
        return jsonschema_rs.Draft202012Validator(
            {"anyOf": [{"pattern": pattern} for pattern in patterns]},
            offline=True,
            pattern_options=_patterns,
        )
    except (jsonschema_rs.ValidationError, ValueError):
        return None
