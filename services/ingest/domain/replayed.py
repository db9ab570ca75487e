"""The headers of a raw record that is a replay of a failed event.

`received_at` of such a record is the failed event's own, but only when the database knows the
replay and the failed event that the headers name: a publisher cannot choose it. The other two can
be set by whoever may write to the topic, who could say the same in the event itself.
"""

import re

REPLAY_HEADER = "concert-replay"
"""The id of the replay."""
FAILED_EVENT_HEADER = "concert-failed-event"
"""The id of the failed event."""
HISTORICAL_HEADER = "concert-historical"
"""There when the event is too old to make Concert write to anyone."""
MESSAGE_ID_HEADER = "concert-message-id"
"""The id that the event had before it was corrected, when its publisher gave none."""

OWN_HEADERS = frozenset((REPLAY_HEADER, FAILED_EVENT_HEADER, HISTORICAL_HEADER, MESSAGE_ID_HEADER))

_BODY_ID = re.compile(rb"sha256:[0-9a-f]{64}")


def message_id_before(headers: dict[str, bytes]) -> str | None:
    """The id of the event as it was before its correction, in the form that ids of bodies have."""
    value = headers.get(MESSAGE_ID_HEADER)
    return value.decode("ascii") if value is not None and _BODY_ID.fullmatch(value) else None
