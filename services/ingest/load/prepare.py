"""A row becomes the record that a Kafka producer would write, and is read as the worker will."""

from typing import NamedTuple

import orjson

from services.ingest.domain.dialect import DIALECT_HEADER, read_touchpoints
from services.ingest.domain.fields import Object, violation
from services.ingest.domain.identifiers import strongest
from services.ingest.domain.row_mapping import RowMapping, event_of
from services.ingest.domain.source import Source, Sources
from services.ingest.load.text_rows import FileRow
from shared.contracts.dead_letter import Headers
from shared.contracts.touchpoint import RawPosition, Touchpoint
from shared.errors import InvalidData
from shared.kafka.messages import Message

HEADERS: Headers = ((DIALECT_HEADER, b"native"),)
"""Said and not guessed: a row could look like another dialect."""


class Prepared(NamedTuple):
    """The record of a row, and the touchpoint that the worker will make of it."""

    message: Message
    touchpoint: Touchpoint


class RowReader:
    """Turns rows of one file into records. Deterministic: the same row gives the same record."""

    def __init__(
        self, *, source: Source, content: str, mapping: RowMapping | None, live: bool, topic: str
    ) -> None:
        self._source = source
        self._sources = Sources({source.id: source}, allow_unregistered=False)
        self._content = content
        self._mapping = mapping
        self._live = live
        self._raw = RawPosition(topic, 0, 0)

    def read(self, row: FileRow, now_ms: int) -> Prepared:
        """The record of a row; `now_ms` stands for the time at which Kafka will get it.

        Raises InvalidData with the reason that its dead letter would have.
        """
        if row.problem is not None or row.fields is None:
            raise row.problem or InvalidData("empty", "the row has no fields")
        event = self._event(row, row.fields)
        try:
            value = orjson.dumps(event)
        except TypeError as error:
            raise violation("event", f"cannot be JSON: {error}") from None
        (touchpoint,) = read_touchpoints(
            value,
            raw=self._raw,
            timestamp=now_ms,
            headers=HEADERS,
            channel=self._source.channel,
            sources=self._sources,
        ).touchpoints
        who = strongest(touchpoint.identifiers)
        key = touchpoint.id if who is None else f"{who.type}:{who.value}"
        return Prepared(Message(key.encode(), value, HEADERS), touchpoint)

    def _event(self, row: FileRow, fields: Object) -> Object:
        if self._mapping is None:
            stated = fields.get("source")
            if stated not in (None, self._source.id):
                raise violation("source", f"is {str(stated)[:40]!r}, not {self._source.id!r}")
            event = dict(fields)
        else:
            event = event_of(fields, self._mapping, self._source.timezone)
        if event.get("id") is None:
            event["id"] = f"{self._content}:{row.number}"
        event["source"] = self._source.id
        if not self._live:
            event["historical"] = True
        return event
