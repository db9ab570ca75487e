"""Keeps what could not be read: dead letters of `channel.*.dlq` become rows of `failed_event`.

The rows commit with the position of the dead letters. A dead letter that comes twice is one row;
one of a replay belongs to the row that was replayed. Records that were erased because they named
somebody who is forgotten are not kept again.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import partial
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from services.ingest.domain.failed_event import Copy, FailedEvent, failed_event
from services.ingest.storage import failed_events, people
from services.ingest.storage.failed_events import Standing
from shared.contracts.dead_letter import DeadLetter, Failure, read_dead_letter
from shared.contracts.topics import DEAD_LETTERS, Topics
from shared.kafka.messages import OutboxBuffer, PartitionCounts
from shared.observability import metrics
from shared.runtime.crash import crash_point
from shared.runtime.records import Handled, Record

Letter = tuple[Record, FailedEvent]

CRASH_POINTS = ("failures.read", "failures.stored")
"""Places in this handler where a test may kill the process."""


class KeepFailedEvents:
    """The handler of the role `failures`."""

    def __init__(self, *, topics: Topics, counts: PartitionCounts) -> None:
        self._topics = topics
        self._counts = counts

    async def __call__(self, records: Sequence[Record], tx: AsyncConnection) -> Handled:
        """Store every dead letter once. Raises Infrastructure without a database."""
        handled = Handled(OutboxBuffer(self._counts))
        letters = [(record, self._read(record)) for record in records]
        crash_point("failures.read")
        erased = await people.erased(tx, [event.sha256 for _, event in letters])
        letters = [one for one in letters if one[1].sha256 not in erased]
        known = await failed_events.originals(tx, _copies(letters))
        again = [one for one in letters if one[1].copy in known]
        new = [one for one in letters if one[1].copy not in known]
        groups = {event.fingerprint: event.channel for _, event in letters}
        for seen in await failed_events.known_groups(tx, groups):
            del groups[seen]
        handled.after_commit.append(partial(_report, Counter(groups.values())))
        stored = await failed_events.insert(tx, [event for _, event in new])
        crash_point("failures.stored")
        for record, event in new:
            if event.id in stored:
                stored.discard(event.id)
            else:
                handled.dedup(record)
        await self._count_again(tx, again, handled)
        return handled

    def _read(self, record: Record) -> FailedEvent:
        """What stands on these topics without our headers is kept too, by its own position."""
        letter = read_dead_letter(record.headers)
        raw = record.topic if letter is None else letter.topic
        channel = self._topics.channel_of(raw.removesuffix(DEAD_LETTERS))
        if letter is None or channel is None:
            channel = self._topics.channel_of(record.topic.removesuffix(DEAD_LETTERS)) or ""
            letter = _stranger(record)
        return failed_event(
            letter, channel, key=record.key, value=record.value, timestamp=record.timestamp
        )

    async def _count_again(
        self, tx: AsyncConnection, again: Sequence[Letter], handled: Handled
    ) -> None:
        """Each copy's failure counts once: a dead letter that comes twice changes nothing."""
        ids = {one.failed_event for one in _copies(again)}
        standing = await failed_events.lock(tx, ids) if ids else {}
        newest: dict[UUID, tuple[FailedEvent, int]] = {}
        for record, event, found in (
            (record, event, event.copy.failed_event)
            for record, event in again
            if event.copy is not None
        ):
            if _is_news(event, standing[found]):
                standing[found] = Standing(event.topic, event.part, event.position)
                newest[found] = event, newest.get(found, (event, 0))[1] + 1
            else:
                handled.dedup(record)
        await failed_events.failed_again(
            tx, [(found, event, times) for found, (event, times) in newest.items()]
        )


def _report(groups: Counter[str]) -> None:
    for channel, count in groups.items():
        metrics.FAILED_EVENT_GROUPS.labels(channel=metrics.channel_label(channel)).inc(count)


def _copies(letters: Iterable[Letter]) -> list[Copy]:
    return [event.copy for _, event in letters if event.copy is not None]


def _is_news(event: FailedEvent, standing: Standing) -> bool:
    """Copies go to the partition of their original, so a later one has a higher offset."""
    same = (event.topic, event.part) == (standing.topic, standing.part)
    return not same or event.position > standing.last_position


def _stranger(record: Record) -> DeadLetter:
    failure = Failure("unknown_error", "a dead letter that says nothing about its original")
    return DeadLetter(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        timestamp=record.timestamp,
        failure=failure,
        stage="unknown",
        failed_at="",
        truncated=None,
        original=record.headers,
    )
