"""Which events this process has just put into Kafka: for receipts of what nobody has read yet.

In memory, the last ones only, of this process alone. What is not here may still be on its way: the
record exists to say `accepted` sooner, never to say that an event is not there.
"""

import sys
from collections import OrderedDict
from collections.abc import Iterable

from services.ingest.domain.dialect import REFUSED_HEADER
from services.ingest.domain.glimpse import glimpse
from shared.kafka.messages import Message

MOST = 100_000
"""How many events are remembered: some 30 MB with ids of usual length."""


class RecentlyTaken:
    """One for each collector."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._events: OrderedDict[tuple[str, str], str] = OrderedDict()

    def note(self, messages: Iterable[Message]) -> None:
        """Remember events that are acknowledged. One that shows no id is passed over."""
        events = self._events
        for message in messages:
            if any(name == REFUSED_HEADER for name, _ in message.headers):
                continue
            seen = glimpse(message.value, message.headers)
            if seen.scope is None or seen.event_id is None or seen.source is None:
                continue
            key = (sys.intern(seen.scope), seen.event_id)
            events[key] = sys.intern(seen.source)
            events.move_to_end(key)
            if len(events) > self._most:
                events.popitem(last=False)

    def source_of(self, scope: str, event_id: str) -> str | None:
        """The source for which such an event was taken; None if that is not remembered."""
        return self._events.get((scope, event_id))
