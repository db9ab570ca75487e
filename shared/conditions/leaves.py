"""What a condition refers to beyond the event at hand: histories, segments, personas, consents.

Whoever publishes a condition registers these, checks that they exist and hands their values in.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import assert_never

from shared.conditions.tree import (
    All,
    Any,
    Compare,
    Condition,
    EventCount,
    HasConsent,
    InSegment,
    IsPersona,
    Leaf,
    Not,
    to_json,
)


@dataclass(frozen=True, slots=True)
class References:
    """Everything a condition refers to, each once and sorted (event leaves: as first met)."""

    attributes: tuple[str, ...]
    segments: tuple[str, ...]
    personas: tuple[str, ...]
    consents: tuple[tuple[str, str], ...]
    event_leaves: tuple[EventCount, ...]


def references(condition: Condition) -> References:
    """What the condition refers to. What stands inside an event leaf's `where` is about past
    events and is not among it; leaves that need the same count are listed once."""
    attributes: set[str] = set()
    segments: set[str] = set()
    personas: set[str] = set()
    consents: set[tuple[str, str]] = set()
    events: dict[str, EventCount] = {}
    for leaf in leaves_of(condition):
        match leaf:
            case Compare(attr):
                attributes.add(attr)
            case InSegment(segment):
                segments.add(segment)
            case IsPersona(persona):
                personas.add(persona)
            case HasConsent(purpose, channel):
                consents.add((purpose, channel))
            case EventCount():
                events.setdefault(leaf_hash(leaf), leaf)
            case _:
                assert_never(leaf)
    return References(
        tuple(sorted(attributes)),
        tuple(sorted(segments)),
        tuple(sorted(personas)),
        tuple(sorted(consents)),
        tuple(events.values()),
    )


def leaves_of(condition: Condition) -> Iterator[Leaf]:
    """The leaves from left to right."""
    match condition:
        case All(parts) | Any(parts):
            for part in parts:
                yield from leaves_of(part)
        case Not(part):
            yield from leaves_of(part)
        case _:
            yield condition


def leaf_hash(leaf: EventCount) -> str:
    """The name of the history behind an event leaf: 32 hex digits of SHA-256 over its canonical
    JSON. The compared count is left out, so `at least 1` and `at least 3` share one history."""
    document = to_json(leaf)
    del document["count"]
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()[:32]


def is_of_one_event(leaf: EventCount) -> bool:
    """Whether one event alone can answer the leaf: it has no count and no window."""
    return (leaf.count_op, leaf.count) == ("gte", 1) and leaf.within is None


def of_this_event(leaf: EventCount) -> Condition:
    """The leaf as a condition on the event at hand: it is of the type and `where` holds for it.

    For exit criteria and waits, where `{event, where}` means "such an event comes". Raises
    ValueError when the leaf counts or has a window: one event cannot answer that.
    """
    if not is_of_one_event(leaf):
        raise ValueError("one event cannot answer a count or a window")
    is_type = Compare("event.type", "eq", leaf.event)
    return is_type if leaf.where is None else All((is_type, leaf.where))
