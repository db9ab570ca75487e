"""The headers of a raw record that is a replay of a failed event.

`received_at` of such a record is the failed event's own, but only when the database knows the
replay and the failed event that the headers name: a publisher cannot choose it. The other two can
be set by whoever may write to the topic, who could say the same in the event itself.
"""

import re
from collections.abc import Sequence

from shared.contracts.dead_letter import Headers

REPLAY_HEADER = "concert-replay"
"""The id of the replay."""
FAILED_EVENT_HEADER = "concert-failed-event"
"""The id of the failed event."""
HISTORICAL_HEADER = "concert-historical"
"""There when the event is too old to make Concert write to anyone."""
MESSAGE_ID_HEADER = "concert-message-id"
"""The ids that the events of the record had before it was corrected, in their order and with a
space between, when their publisher gave none."""

OWN_HEADERS = frozenset((REPLAY_HEADER, FAILED_EVENT_HEADER, HISTORICAL_HEADER, MESSAGE_ID_HEADER))

_BODY_ID = re.compile(rb"sha256:[0-9a-f]{64}")
_ID_BYTES = 71


def message_id_header(ids: Sequence[str]) -> Headers:
    """The header that gives the events of a record these ids; none without any."""
    return ((MESSAGE_ID_HEADER, " ".join(ids).encode("ascii")),) if ids else ()


def message_id_before(headers: dict[str, bytes], number: int) -> str | None:
    """The id that the record's event of this number had before its correction, in the form that
    ids of bodies have.
    """
    value = headers.get(MESSAGE_ID_HEADER)
    if value is None:
        return None
    start = number * (_ID_BYTES + 1)
    found = value[start : start + _ID_BYTES]
    return found.decode("ascii") if _BODY_ID.fullmatch(found) else None
