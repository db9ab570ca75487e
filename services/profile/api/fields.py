"""`?fields=`: the parts of a profile that the caller wants, checked by name.

`traits` is all traits, `traits.first_name` one of them, `identifiers.email` the identifiers of one
type. Names of traits and types are whatever publishers send: only what stands before the point
is checked.
"""

from collections.abc import Iterable, Sequence
from typing import Annotated, Any

from fastapi import Depends, Query

from services.profile.api.schemas import ProfileView
from shared.conditions.mistakes import did_you_mean, shown
from shared.errors import Problem, Unprocessable

MAX_FIELDS = 200
MAX_LENGTH = 8000
DIVISIBLE = frozenset({"traits", "identifiers", "computed", "provenance"})
KNOWN = (*ProfileView.model_fields,)

Json = dict[str, Any]
Fields = tuple[str, ...]
"""Checked names; none: everything."""


def check_fields(names: Sequence[str], path: str = "fields") -> Fields:
    """The names, once each. Raises Unprocessable with one problem for each that there is not."""
    wanted = tuple(dict.fromkeys(name.strip() for name in names))
    if len(wanted) > MAX_FIELDS:
        message = f"{len(wanted)} fields, at most {MAX_FIELDS} allowed"
        raise Unprocessable("too many fields", [Problem(path, "max_items", message)])
    problems = [Problem(path, "unknown_field", told) for told in map(_mistake, wanted) if told]
    if problems:
        raise Unprocessable(f"{path}: {problems[0].message}", problems)
    return wanted


def pick(profile: Json, fields: Fields) -> Json:
    """The wanted parts of a profile; its id is always there."""
    if not fields:
        return profile
    picked: Json = {"id": profile["id"]}
    for name in fields:
        whole, _, part = name.partition(".")
        if whole not in profile:
            continue
        value = profile[whole]
        if not part:
            picked[whole] = value
        elif whole not in fields:
            picked[whole] = _part(whole, value, part, picked.get(whole))
    return picked


def wants_provenance(fields: Fields, include: Iterable[str]) -> bool:
    """Whether the provenance of traits has to be found."""
    return "provenance" in include or any(name.partition(".")[0] == "provenance" for name in fields)


def _part(whole: str, value: Any, part: str, so_far: Any) -> Any:
    if whole == "identifiers":
        return [*(so_far or []), *(one for one in value if one["type"] == part)]
    return (so_far or {}) | ({part: value[part]} if part in value else {})


def _mistake(name: str) -> str | None:
    whole, point, part = name.partition(".")
    if whole not in KNOWN:
        return f"a profile has no {shown(whole)}.{did_you_mean(whole, KNOWN)}"
    if point and (whole not in DIVISIBLE or not part):
        return f"{shown(whole)} has no parts that can be asked for one by one"
    return None


async def _fields(
    fields: Annotated[
        str | None,
        Query(
            max_length=MAX_LENGTH,
            description="Only these parts, with commas between: `id,traits.first_name,segments`.",
        ),
    ] = None,
) -> Fields:
    return check_fields([] if fields is None or not fields.strip() else fields.split(","))


Wanted = Annotated[Fields, Depends(_fields)]
"""A handler's parameter `fields: Wanted`."""
