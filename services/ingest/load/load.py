"""The load itself: batches of rows to Kafka, each acknowledged before it is written down.

Killed at any moment it loses nothing: the rows behind the last written state are sent again, with
the same ids, and count once.
"""

import asyncio
from collections.abc import Iterator
from typing import Any, NamedTuple

from services.ingest.load.files import BatchFile
from services.ingest.load.prepare import RowReader
from services.ingest.load.progress import Progress
from services.ingest.load.rows import Rows
from services.ingest.load.state import (
    LoadState,
    Rejected,
    rejected_path,
    state_path,
    write_state,
)
from services.ingest.load.text_rows import FileRow
from shared import clock
from shared.errors import Infrastructure, InvalidData
from shared.kafka.messages import OutboxBuffer, PartitionCounts
from shared.kafka.publisher import Publisher
from shared.runtime.crash import crash_point

BATCH_ROWS = 1000
BATCH_BYTES = 8 * 1024 * 1024
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 10.0
CRASH_POINTS = ("ingest.load.acked", "ingest.load.noted")
"""Points of a load at which a test may kill the process."""


class Batch(NamedTuple):
    """Rows that are sent together; `last` is the last row of them, sent or rejected."""

    messages: OutboxBuffer
    rejected: list[dict[str, Any]]
    last: FileRow


class Load:
    """One load of one file. `state` is how far it got, also after it was stopped."""

    def __init__(
        self,
        file: BatchFile,
        state: LoadState,
        *,
        reader: RowReader,
        topic: str,
        counts: PartitionCounts,
        publisher: Publisher,
        progress: Progress,
    ) -> None:
        self._file = file
        self.state = state
        self._reader = reader
        self._topic = topic
        self._counts = counts
        self._publisher = publisher
        self._progress = progress
        self._rejected = Rejected(rejected_path(file.path), state.rejected_bytes)

    async def run(self, rows: Rows, stopping: asyncio.Event) -> bool:
        """Send the rows; whether the file is through, False when it was told to stop.

        Raises Unreadable when the file breaks off, OSError when its folder cannot be written to.
        """
        self._write()
        self._progress.show(rows.done(), self.state.row, self.state.rejected)
        for batch in self._batches(rows.each):
            if not await self._publish(batch.messages, stopping):
                return False
            crash_point("ingest.load.acked")
            self._note(batch)
            crash_point("ingest.load.noted")
            self._progress.show(rows.done(), self.state.row, self.state.rejected)
            await asyncio.sleep(0)
            if stopping.is_set():
                return False
        self.state.done = True
        self._write()
        self._progress.show(1.0, self.state.row, self.state.rejected, last=True)
        return True

    def _batches(self, rows: Iterator[FileRow]) -> Iterator[Batch]:
        messages, rejected, size = OutboxBuffer(self._counts), list[dict[str, Any]](), 0
        last = None
        for row in rows:
            last = row
            try:
                message = self._reader.read(row, clock.unix_milliseconds()).message
                messages.add(self._topic, message.key or b"", message.value or b"", message.headers)
                size += len(message.value or b"")
            except InvalidData as error:
                rejected.append(rejection(row, error))
            if len(messages) + len(rejected) >= BATCH_ROWS or size >= BATCH_BYTES:
                yield Batch(messages, rejected, row)
                messages, rejected, size = OutboxBuffer(self._counts), [], 0
                last = None
        if last is not None:
            yield Batch(messages, rejected, last)

    async def _publish(self, messages: OutboxBuffer, stopping: asyncio.Event) -> bool:
        """Send until every message is acknowledged; False when it was told to stop before."""
        pause = FIRST_PAUSE
        while len(messages):
            try:
                await self._publisher.publish(messages.items())
                break
            except Infrastructure as error:
                self._progress.say(f"{error}; trying again")
            try:
                await asyncio.wait_for(stopping.wait(), pause)
            except TimeoutError:
                pause = min(2 * pause, LONGEST_PAUSE)
            else:
                return False
        return True

    def _note(self, batch: Batch) -> None:
        state = self.state
        state.rejected_bytes = self._rejected.add(batch.rejected)
        state.sent += len(batch.messages)
        state.rejected += len(batch.rejected)
        state.row, state.position = batch.last.number, batch.last.position
        self._write()

    def _write(self) -> None:
        write_state(state_path(self._file.path), self.state)


def rejection(row: FileRow, error: InvalidData) -> dict[str, Any]:
    """A rejected row as it is listed."""
    return {
        "row": row.number,
        "reason": error.reason,
        "path": error.path,
        "detail": error.detail,
    }
