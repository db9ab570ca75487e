"""Corrects failed events by an ordered list of steps on their JSON, or the fields of their form.

A path is written as errors name it: `properties.items[0].price`; `[*]` is every item of a list.
Steps start from what was published, however often an event was replayed. `remove` and `cast` of
what is not there change nothing, `replace` makes the objects it needs: one list serves a group
whose events differ. A `replace` below a plain value, and a `cast` of what has no such form, are
mistakes.
Reading is more patient here than where events are taken: `NaN`, `Infinity` and U+0000 are read, so
that a step can take them out. What is left of them is refused afterwards as ever.
"""

import copy
import json
import math
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from services.ingest.domain.decode import MALFORMED, MAX_DEPTH, deeper_than
from services.ingest.domain.fields import Object, kind_of, violation
from services.ingest.domain.form import is_form, read_form
from services.ingest.domain.normalise import normalise_time
from shared.contracts.dead_letter import Headers
from shared.contracts.times import rfc3339
from shared.errors import InvalidData

MAX_PATH = 256
MAX_STEPS = 20
SECONDS_UNTIL = 100_000_000_000
"""A number of seconds lies below (the year 5138), one of milliseconds above (from 1973 on)."""

_PART = re.compile(r"([^.\[\]]+)|\[(\d{1,6}|\*)\]")
_PATH = re.compile(r"[^.\[\]]+(?:\.[^.\[\]]+|\[(?:\d{1,6}|\*)\])*")
_NUMBER = re.compile(r"-?\d{1,300}(?:\.\d{1,300})?(?:[eE][+-]?\d{1,3})?")
_TRUTH = {"true": True, "false": False, "1": True, "0": False, "yes": True, "no": False}

Target = Literal["number", "string", "boolean", "time"]


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """`replace` needs `value`, `cast` needs `to`; `remove` neither."""

    op: Literal["replace", "remove", "cast"]
    path: str
    value: Any = None
    to: Target | None = None


def is_path(text: str) -> bool:
    """Whether a text is a path of a step."""
    return len(text) <= MAX_PATH and _PATH.fullmatch(text) is not None


def corrected(raw: bytes | None, steps: Sequence[Step], headers: Headers) -> bytes:
    """The event after all steps, as JSON; its very bytes when there are none.

    Raises InvalidData: `malformed_payload` for what cannot be read even patiently,
    `spec_violation` with the path of the step that does not fit.
    """
    if not steps:
        return raw or b""
    event = read_patiently(raw, headers)
    for step in steps:
        _apply(event, step)
    try:
        return json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        raise InvalidData(MALFORMED, "a lone surrogate is left in a text") from None


def read_patiently(raw: bytes | None, headers: Headers) -> Object:
    """The JSON object or the form of an event, as the headers of its record say.

    Raises InvalidData `malformed_payload` when it is none.
    """
    if raw and is_form(raw, {name.lower(): content for name, content in headers}):
        return read_form(raw)
    try:
        event = json.loads(raw or b"", object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise InvalidData(MALFORMED, f"steps need JSON: {error}") from None
    if not isinstance(event, dict):
        raise InvalidData(MALFORMED, f"steps need an object, this is {kind_of(event)}")
    if deeper_than(event, MAX_DEPTH):
        raise InvalidData(MALFORMED, f"nested deeper than {MAX_DEPTH} levels")
    return event


def _apply(event: Object, step: Step) -> None:
    parts = [int(n) if n.isdecimal() else (name or n) for name, n in _PART.findall(step.path)]
    if step.op == "replace":
        _each(event, parts, step.path, lambda node, at: _set(node, at, step), create=True)
    elif step.op == "remove":
        _each(event, parts, step.path, _remove)
    else:
        _each(event, parts, step.path, lambda node, at: _cast(node, at, step))


def _each(
    event: Object,
    parts: Sequence[str | int],
    path: str,
    change: Callable[[Any, Any], None],
    *,
    create: bool = False,
) -> None:
    """Call `change` for every place the path leads to; with `create`, missing objects are made."""
    nodes: list[Any] = [event]
    for part in parts[:-1]:
        nodes = [child for node in nodes for child in _children(node, part, path, create=create)]
    for node in nodes:
        for at in reversed(list(_places(node, parts[-1], create=create))):
            change(node, at)


def _children(node: Any, part: str | int, path: str, *, create: bool) -> Iterator[Any]:
    if create and isinstance(node, dict) and node.get(str(part)) is None and part != "*":
        node[str(part)] = {}
    for at in _places(node, part, create=False):
        child = node[at]
        if create and not isinstance(child, dict | list):
            raise violation(path, f"{part} is {kind_of(child)}, nothing can stand below it")
        yield child


def _places(node: Any, part: str | int, *, create: bool) -> Iterator[str | int]:
    """The keys or indexes of a node that a part of a path names."""
    if isinstance(node, list):
        if part == "*":
            yield from range(len(node))
        elif isinstance(part, int) and part < len(node):
            yield part
    elif isinstance(node, dict) and isinstance(part, str) and (create or part in node):
        yield part


def _set(node: Any, at: Any, step: Step) -> None:
    node[at] = copy.deepcopy(step.value)


def _remove(node: Any, at: Any) -> None:
    del node[at]


def _cast(node: Any, at: Any, step: Step) -> None:
    value = node[at]
    if value is None:
        return
    found = _CASTS[step.to or "string"](value)
    if found is None:
        raise violation(step.path, f"{kind_of(value)} that is no {step.to}")
    node[at] = found


def _number(value: Any) -> int | float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return value if math.isfinite(value) else None
    text = value.strip() if isinstance(value, str) else ""
    if not _NUMBER.fullmatch(text):
        return None
    number = int(text) if text.lstrip("-").isdecimal() else float(text)
    return number if math.isfinite(number) else None


def _string(value: Any) -> str | None:
    if isinstance(value, str):
        return value
    return json.dumps(value) if isinstance(value, bool | int | float) else None


def _boolean(value: Any) -> bool | None:
    if isinstance(value, bool):
        return value
    return _TRUTH.get(str(value).strip().lower()) if isinstance(value, str | int) else None


def _time(value: Any) -> str | None:
    """A text in ISO 8601, or the seconds or milliseconds since 1970."""
    if isinstance(value, str) and _number(value) is None:
        return normalise_time(value, "time")
    number = _number(value)
    if number is None:
        return None
    seconds = number if abs(number) < SECONDS_UNTIL else number / 1000
    try:
        return rfc3339(datetime.fromtimestamp(seconds, UTC))
    except (ValueError, OverflowError, OSError):
        return None


_CASTS: dict[Target, Callable[[Any], Any]] = {
    "number": _number,
    "string": _string,
    "boolean": _boolean,
    "time": _time,
}


def _unique(pairs: list[tuple[str, Any]]) -> Object:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key appears twice in one object")
    return found
