"""`audience` of a native event: who is meant, by a condition instead of identifiers.

The profile service publishes a copy for each member, with the id `<id>:<profile id>` and one
identifier. What could make a copy fail is refused here, where the publisher sees it.
"""

import orjson

from services.ingest.domain.fields import MAX_TEXT, Object, id_at, violation
from shared.conditions.audience import read_audience
from shared.contracts.topics import EVENT_MAX_BYTES
from shared.errors import InvalidData, Problem

COPY_ID = len(":00000000-0000-0000-0000-000000000000")
MAX_ID = MAX_TEXT - COPY_ID
"""Longest id of such an event, in characters: those of its copies have the profile's behind it."""
COPY_BYTES = 4096
"""What a copy may have beside the event: the identifier, and defaults that are written out."""
MOST_SAID = 3
"""Mistakes of a condition that a dead letter names; its message has no room for all."""


def read_audience_of(event: Object) -> Object | None:
    """The condition of an event, None when it is null.

    Raises InvalidData `spec_violation` for a condition that breaks rules or one beside
    identifiers, `too_large` for an event whose copies would be.
    """
    audience = event.get("audience")
    if audience is None:
        return None
    if event.get("identifiers"):
        raise violation("audience", "stands instead of identifiers, not beside them")
    problems: list[Problem] = []
    if read_audience(audience, problems) is None:
        raise _refused(problems)
    if len(id_at(event, "id") or "") > MAX_ID:
        raise violation("id", f"is longer than {MAX_ID} characters, too long for an audience")
    size = len(orjson.dumps(event))
    if size > EVENT_MAX_BYTES - COPY_BYTES:
        raise InvalidData(
            "too_large", f"{size} bytes; at most {EVENT_MAX_BYTES - COPY_BYTES} with an audience"
        )
    found: Object = audience
    return found


def _refused(problems: list[Problem]) -> InvalidData:
    """The first mistake's path goes before the detail by itself."""
    first, *others = problems
    said = [f"{first.message} ({first.rule})"]
    said += [f"{one.path}: {one.message} ({one.rule})" for one in others[: MOST_SAID - 1]]
    if len(others) >= MOST_SAID:
        said.append(f"and {len(others) - MOST_SAID + 1} more")
    return violation(first.path, "; ".join(said))
