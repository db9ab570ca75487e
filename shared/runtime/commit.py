"""The two ways a batch becomes final; the loop around them is the same.

`TransactionalCommit`: state, position, messages and dead letters in one PostgreSQL transaction.
`ProduceThenCommit`: messages are published and acknowledged first, then the position moves; after a
crash in between they are published again, with the same ids.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from shared import clock
from shared.contracts.dead_letter import Failure, dead_letter_headers
from shared.contracts.times import rfc3339
from shared.contracts.topics import Topics
from shared.errors import Fenced
from shared.kafka.messages import OutboxBuffer, PartitionCounts
from shared.kafka.publisher import Publisher
from shared.kafka.records import Place, Record, Span
from shared.observability import metrics
from shared.postgres import leases, outbox
from shared.postgres.leases import Passed
from shared.postgres.transaction import autocommit, statement, transaction
from shared.runtime.crash import crash_point
from shared.runtime.records import Handled

StatefulHandler = Callable[[Sequence[Record], AsyncConnection], Awaitable[Handled]]
StatelessHandler = Callable[[Sequence[Record]], Awaitable[Handled]]
Epochs = Mapping[Place, int]
Advance = Callable[[AsyncConnection, str, Sequence[Passed], Epochs, Handled], Awaitable[set[Place]]]
"""Moves the positions of a group past a batch, and counts it, in one statement of its own; which
places moved."""


class DeadLetters:
    """How this group writes its dead letters."""

    def __init__(self, *, group: str, topics: Topics, counts: PartitionCounts) -> None:
        self.counts = counts
        self._group = group
        self._topics = topics

    def rejected(self, record: Record, failure: Failure) -> Handled:
        """What became of a single record that no handler can take."""
        handled = Handled(OutboxBuffer(self.counts))
        handled.reject(record, failure)
        return handled

    def add_to(self, handled: Handled, attempts: int) -> None:
        """Put the original bytes of every rejected record among the messages."""
        for record, failure in handled.dead:
            headers = dead_letter_headers(
                topic=record.topic,
                partition=record.partition,
                offset=record.offset,
                timestamp=record.timestamp,
                failure=failure,
                group=self._group,
                stage="handle",
                attempts=attempts,
                failed_at=rfc3339(clock.now()),
                original=record.headers,
            )
            handled.messages.add_dead_letter(
                self._topics.dead_letters(record.topic),
                record.partition,
                record.key,
                record.value,
                headers,
            )


class TransactionalCommit:
    """Everything a batch does is in one transaction, behind the compare-and-set of its leases."""

    def __init__(
        self,
        engine: AsyncEngine,
        *,
        group: str,
        handler: StatefulHandler,
        dead_letters: DeadLetters,
        committed: Callable[[], None],
    ) -> None:
        self._engine = engine
        self._group = group
        self._handler = handler
        self._dead_letters = dead_letters
        self._committed = committed

    async def __call__(
        self, spans: Sequence[Span], epochs: Epochs, poison: Failure | None, attempts: int
    ) -> None:
        """Apply the spans, or dead-letter their only record as `poison`.

        Raises Fenced when a lease is not ours or not where we believe, Infrastructure when
        PostgreSQL is away, and whatever the handler raises; nothing has happened then.
        """
        records = [record for span in spans for record in span.records]
        async with transaction(self._engine) as tx:
            await _check(tx, self._group, spans, epochs)
            if poison is not None:
                handled = self._dead_letters.rejected(records[0], poison)
            elif records:
                handled = await self._handler(records, tx)
            else:
                handled = Handled(OutboxBuffer(self._dead_letters.counts))
            crash_point("runtime.handled")
            self._dead_letters.add_to(handled, attempts)
            await outbox.append(tx, handled.messages)
            crash_point("runtime.outbox_inserted")
            passed = _passed(spans, handled)
            _check_moved(passed, await leases.advance(tx, self._group, passed, epochs))
            crash_point("runtime.before_commit")
        crash_point("runtime.after_commit")
        self._committed()
        _count(spans, handled)


class ProduceThenCommit:
    """For a hop without state: publish, wait for the acknowledgements, move the position."""

    def __init__(
        self,
        engine: AsyncEngine,
        *,
        group: str,
        handler: StatelessHandler,
        dead_letters: DeadLetters,
        publisher: Publisher,
        advance: Advance | None = None,
    ) -> None:
        self._engine = autocommit(engine)
        self._group = group
        self._handler = handler
        self._dead_letters = dead_letters
        self._publisher = publisher
        self._advance = _only_move if advance is None else advance

    async def __call__(
        self, spans: Sequence[Span], epochs: Epochs, poison: Failure | None, attempts: int
    ) -> None:
        """As TransactionalCommit, but messages may be in their topics when this raises."""
        records = [record for span in spans for record in span.records]
        if poison is not None:
            handled = self._dead_letters.rejected(records[0], poison)
        else:
            handled = await self._handler(records)
        crash_point("runtime.handled")
        self._dead_letters.add_to(handled, attempts)
        await self._publisher.publish(handled.messages.items())
        crash_point("runtime.produced")
        passed = _passed(spans, handled)
        async with statement(self._engine) as tx:
            _check_moved(passed, await self._advance(tx, self._group, passed, epochs, handled))
        crash_point("runtime.after_commit")
        _count(spans, handled)


async def _check(tx: AsyncConnection, group: str, spans: Sequence[Span], epochs: Epochs) -> None:
    rows = await leases.lock(tx, group, [span.place for span in spans])
    for span in spans:
        if rows.get(span.place) != (epochs.get(span.place), span.start):
            raise Fenced(str(span.place))
    crash_point("runtime.lease_checked")


async def _only_move(
    tx: AsyncConnection, group: str, passed: Sequence[Passed], epochs: Epochs, _: Handled
) -> set[Place]:
    return await leases.advance(tx, group, passed, epochs)


def _check_moved(passed: Sequence[Passed], moved: set[Place]) -> None:
    for row in passed:
        if row.place not in moved:
            raise Fenced(str(row.place))


def _passed(spans: Sequence[Span], handled: Handled) -> list[Passed]:
    dead: Counter[Place] = Counter(
        Place(record.topic, record.partition) for record, _ in handled.dead
    )
    return [
        Passed(
            place=span.place,
            start=span.start,
            end=span.end,
            applied=len(span.records) - handled.deduped[span.place] - dead[span.place],
            deduped=handled.deduped[span.place],
            dead=dead[span.place],
            gaps=span.gaps,
        )
        for span in spans
    ]


def _count(spans: Sequence[Span], handled: Handled) -> None:
    for row in _passed(spans, handled):
        for outcome, count in (
            ("applied", row.applied),
            ("deduped", row.deduped),
            ("dead", row.dead),
            ("gap", row.gaps),
        ):
            if count:
                metrics.RECORDS.labels(outcome=outcome).inc(count)
        if row.gaps:
            metrics.GAPS.inc(row.gaps)
    for record, failure in handled.dead:
        metrics.DEAD_LETTERS.labels(
            topic=metrics.topic_kind(record.topic), reason=metrics.reason_label(failure.reason)
        ).inc()
    for report in handled.after_commit:
        report()
