"""Which events this process has just put into Kafka: for receipts of what nobody has read yet.

In memory, the last ones only, of this process alone. What is not here may still be on its way: the
record exists to say `accepted` sooner, never to say that an event is not there.
"""

import sys
from collections.abc import Iterable

from services.ingest.domain.dialect import REFUSED_HEADER, SOURCE_HEADER
from services.ingest.domain.glimpse import identity, identity_by_headers
from shared.contracts.dead_letter import Headers
from shared.kafka.messages import Message

MOST = 100_000
"""How many events are remembered at most, and half of that at least: some 25 MB."""


class RecentlyTaken:
    """One for each collector."""

    def __init__(self, most: int = MOST) -> None:
        self._half = most // 2
        self._older: dict[tuple[str, str], str] = {}
        self._newer: dict[tuple[str, str], str] = {}

    def note(self, messages: Iterable[Message]) -> None:
        """Remember events that are acknowledged. One that shows no id is passed over."""
        headers, source, by_headers = None, None, False
        for message in messages:
            if message.headers is not headers:  # the events of one request share theirs
                headers = message.headers
                source, by_headers = _source(headers), "ce_id" in dict(headers)
            if source is None:
                continue
            if by_headers:
                self._note(source, *identity_by_headers(message.headers))
            else:
                self._note(source, *identity(message.value, source))

    def _note(self, source: str, scope: str | None, event_id: str | None) -> None:
        if scope is None or event_id is None:
            return
        self._newer[scope, event_id] = source
        if len(self._newer) >= self._half:
            self._older, self._newer = self._newer, {}

    def source_of(self, scope: str, event_id: str) -> str | None:
        """The source for which such an event was taken; None if that is not remembered."""
        key = (scope, event_id)
        return self._newer.get(key) or self._older.get(key)


def _source(headers: Headers) -> str | None:
    """Who published; None for what the collector itself refused."""
    stated = dict(headers)
    if REFUSED_HEADER in stated or SOURCE_HEADER not in stated:
        return None
    return sys.intern(stated[SOURCE_HEADER].decode("utf-8", "replace"))
