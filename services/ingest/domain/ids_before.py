"""Which ids the events of a failed record had before it was corrected.

An event whose publisher gave no id has one that is made of its content, which a correction changes.
Made of what was published instead, the publisher's own copy, if it got through meanwhile, and every
replay with whatever steps are one event.
"""

import json
from collections.abc import Sequence
from typing import Any

from services.ingest.domain.compose import body_id
from services.ingest.domain.fields import Object, violation
from services.ingest.domain.mapping import Mapping
from services.ingest.domain.recovery import read_patiently
from services.ingest.domain.webhook import item_body, items_of
from shared.contracts.dead_letter import Headers
from shared.errors import InvalidData

_BESIDE_A_CALL = frozenset(("sentAt", "writeKey"))
"""What the id of a Segment call without one of its own is not made of."""


def id_before(raw: bytes | None, after: bytes, message_id: str) -> str | None:
    """The id that an event without one had before it was corrected, when that changed it.

    `message_id` is that of the touchpoint after.
    """
    if raw is None or raw == after or not message_id.startswith("sha256:"):
        return None
    was, now = read_patiently(raw, ()), read_patiently(after, ())
    for hidden in (frozenset[str](), _BESIDE_A_CALL):
        if _id_of(_without(now, hidden)) == message_id:
            return _id_of(_without(was, hidden))
    return None


def item_ids_before(
    raw: bytes | None, after: bytes, headers: Headers, mapping: Mapping
) -> list[str]:
    """The same for the events in the body of a webhook, in their order; none if they have ids.

    Raises InvalidData `spec_violation` when events have come or gone whose ids go by their place.
    """
    if raw is None or raw == after or (mapping.id is not None and not mapping.id_of_place):
        return []
    was = read_patiently(raw, headers)
    before, left = _items(mapping, was), _items(mapping, read_patiently(after, headers))
    if before is not None and left is not None and len(before) != len(left):
        raise violation(
            "mapping.each",
            "steps may change the events of the list, not how many there are: they are told apart"
            " by their place, because the mapping finds no id in each",
        )
    if mapping.id is not None:
        return []
    if before is None:  # no event was ever read from it
        return [_id_of({"body": was, "event": number}) for number in range(len(left or ()))]
    return [_id_of(item_body(item)) for item in before]


def _items(mapping: Mapping, body: Object) -> Sequence[Any] | None:
    try:
        return items_of(mapping, body)
    except InvalidData:
        return None


def _without(event: Object, hidden: frozenset[str]) -> Object:
    return {name: value for name, value in event.items() if name not in hidden}


def _id_of(event: Object) -> str:
    """As the worker makes it; what it never takes (numbers beyond 64 bits) has an id here too."""
    try:
        return body_id(event)
    except TypeError:
        return body_id({"text": json.dumps(event, sort_keys=True)})
