"""The lines of an export: a profile as one line of JSON, or as one record of CSV.

A spreadsheet takes a cell that begins with `=` for a formula. What publishers sent is written so
that it stays text.
"""

import csv
import io
import re
from collections.abc import Iterable
from typing import Any

import msgspec

from services.profile.api.fields import Fields, pick

Json = dict[str, Any]

FORMULA = frozenset("=+-@\t\r\n＝＋－＠|%")
NUMBER = re.compile(r"[+-]?\d+([.,]\d+)?")
"""A telephone number or an amount is no formula."""
BETWEEN = "; "
BEHIND = re.compile(r"([;\t]\s*)([=+\-@＝＋－＠|%])")

_encode = msgspec.json.Encoder().encode


def json_lines(profiles: Iterable[Json], fields: Fields) -> bytes:
    """One line for each profile."""
    return b"".join(_encode(pick(one, fields)) + b"\n" for one in profiles)


def csv_head(fields: Fields) -> bytes:
    """The names of the columns."""
    return _written([columns(fields)])


def csv_lines(profiles: Iterable[Json], fields: Fields) -> bytes:
    """One record for each profile, the id first."""
    return _written([[_cell(one, name) for name in columns(fields)] for one in profiles])


def columns(fields: Fields) -> list[str]:
    """The columns of a CSV export: the id, by which it goes on, then what was asked for."""
    return ["id", *(name for name in fields if name != "id")]


def _cell(profile: Json, name: str) -> str:
    whole, _, part = name.partition(".")
    value = profile.get(whole)
    if part and whole == "identifiers":
        value = [one["value"] for one in value or [] if one["type"] == part]
    elif part:
        value = (value or {}).get(part)
    return safe(_text(value))


def _text(value: Any) -> str:
    match value:
        case None:
            return ""
        case str():
            return value
        case bool() | int() | float():
            return _encode(value).decode()
        case list() if all(isinstance(one, str) for one in value):
            return BETWEEN.join(value)
        case _:
            return _encode(value).decode()


def safe(text: str) -> str:
    """The text of a cell, with an apostrophe before what a spreadsheet would compute.

    One that takes `;` or a tab for a comma begins a cell behind it, so there too.
    """
    if NUMBER.fullmatch(text):
        return text
    if text[:1] in FORMULA:
        return f"'{text[0]}" + BEHIND.sub(r"\1'\2", text[1:])
    return BEHIND.sub(r"\1'\2", text)


def _written(records: Iterable[list[str]]) -> bytes:
    target = io.StringIO()
    csv.writer(target, lineterminator="\r\n", quoting=csv.QUOTE_ALL).writerows(records)
    return target.getvalue().encode()
