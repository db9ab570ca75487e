"""Which ids the events of a failed record had before it was corrected; steps never change them.

An id that the publisher gave is the event's for ever: under another one a further replay would be
another event, and one new id for many events would make one of them.

An event whose publisher gave no id has one that is made of its content, which a correction changes.
Made of what was published instead, the publisher's own copy, if it got through meanwhile, and every
replay with whatever steps are one event.
"""

import json
from collections.abc import Sequence
from typing import Any

from services.ingest.domain.compose import body_id
from services.ingest.domain.fields import Object, violation
from services.ingest.domain.glimpse import glimpse
from services.ingest.domain.mapping import Mapping
from services.ingest.domain.recovery import read_patiently
from services.ingest.domain.webhook import ids_of, item_body, items_of
from shared.contracts.dead_letter import Headers
from shared.errors import InvalidData

_STATED = ("messageId", "id", "source", "specversion")
"""Fields from which an event's own id, and whose it is, are read."""
_BESIDE_A_CALL = frozenset(("sentAt", "writeKey"))
"""What the id of a Segment call without one of its own is not made of."""


def refuse_another_id(raw: bytes | None, after: bytes, headers: Headers, *, moved: bool) -> None:
    """Refuse steps that change the event's own id, or give one to an event that has none.

    `moved` is whether the source of a CloudEvent, which its id is unique in, may have been wrong.
    Raises InvalidData `spec_violation`.
    """
    if raw is None or raw == after:
        return
    (scope, was), (scope_after, now) = (_stated(body, headers) for body in (raw, after))
    if was is None and now is not None:
        raise violation(
            "steps",
            "the event has no id of its own that can be read: steps may remove the field, not set"
            " it. Concert makes the id of its content, the same for every replay",
        )
    if was != now or (scope != scope_after and not moved):
        raise violation(
            "steps", "the event's own id stays as it was: under another one it is another event"
        )


def refuse_other_item_ids(
    raw: bytes | None, after: bytes, headers: Headers, mapping: Mapping
) -> None:
    """The same for the events of a webhook's body whose ids its mapping finds."""
    if raw is None or raw == after or mapping.id is None:
        return
    try:
        was = ids_of(mapping, read_patiently(raw, headers))
        now = ids_of(mapping, read_patiently(after, headers))
    except InvalidData:
        return
    if None not in was and not set(now) <= {*was, None}:
        raise violation(
            "steps", "the ids of events stay as they were: under another one it is another event"
        )


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


def _stated(body: bytes, headers: Headers) -> tuple[str | None, str | None]:
    event = read_patiently(body, headers)
    stated = {name: event[name] for name in _STATED if name in event}
    seen = glimpse(json.dumps(stated).encode(), headers, "")
    return seen.scope, seen.event_id


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
