"""A day's file of a channel: when it is closed, and its lines as CSV.

A spreadsheet takes a cell that begins with `=` for a formula. What customers wrote is written so
that it stays text.
"""

import csv
import io
import json
import re
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from services.orchestrator.domain.connector import FileBatch
from shared.contracts.action import Action, action_decoder

FORMULA = frozenset("=+-@\t\r\n＝＋－＠|%")
NUMBER = re.compile(r"[+-]?[0-9]+([.,][0-9]+)?")
"""A telephone number or an amount is no formula."""
_BLANK = re.compile("[\x00-\x1f\x7f]+")


def last_cut_off(target: FileBatch, now: datetime) -> tuple[date, datetime]:
    """The day whose file was closed last, and the instant: at `now` or before."""
    zone = ZoneInfo(target.zone)
    day = now.astimezone(zone).date()
    while True:
        instant = datetime.combine(day, target.cut_off, zone)
        if day.weekday() in target.days and instant <= now:
            return day, instant
        day -= timedelta(days=1)


def file_name(channel: str, day: date) -> str:
    """The same for the same day, whoever writes it."""
    return f"{channel}-{day.isoformat()}.csv"


def head(target: FileBatch) -> bytes:
    """The names of the columns."""
    return _written([list(target.columns)])


def lines(target: FileBatch, bodies: Iterable[bytes]) -> bytes:
    """One record for each action."""
    return _written(
        [_cell(action, name) for name in target.columns]
        for action in map(action_decoder.decode, bodies)
    )


def safe(text: str) -> str:
    """The text of a cell, on one line; with an apostrophe where it could be a formula."""
    flat = _BLANK.sub(" ", text)
    start = text.lstrip(" \"'")[:1] or text[:1]
    if start in FORMULA and start and NUMBER.fullmatch(flat.strip()) is None:
        return f"'{flat}"
    return flat


def _cell(action: Action, name: str) -> str:
    whole, _, part = name.partition(".")
    match whole:
        case "to":
            value: object = None if action.to is None else action.to.value
        case "to_type":
            value = None if action.to is None else action.to.type
        case "content":
            value = action.content.get(part) if part else action.content
        case _:
            value = getattr(action, whole)
    return safe(_text(value))


def _text(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _written(rows: Iterable[list[str]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    return text.getvalue().encode("utf-8", "replace")
