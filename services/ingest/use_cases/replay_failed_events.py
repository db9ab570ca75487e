"""Puts failed events back on their raw topic, corrected by steps; or says what that would do.

Events are claimed, published with the acknowledgement of all replicas, then marked. A process that
ends in between leaves them as they were, and doing it again gives the same ids: duplicates, which
have no effect. Whether a copy can be read now is the ingest worker's verdict; one that fails again
comes back as the same failed event.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from services.ingest.domain.dialect import (
    REFUSED_HEADER,
    read_touchpoints,
    webhook_mapping,
)
from services.ingest.domain.failed_event import milliseconds
from services.ingest.domain.ids_before import (
    id_before,
    item_ids_before,
    refuse_another_id,
    refuse_other_item_ids,
)
from services.ingest.domain.recovery import Step, corrected
from services.ingest.domain.replayed import (
    FAILED_EVENT_HEADER,
    HISTORICAL_HEADER,
    OWN_HEADERS,
    REPLAY_HEADER,
    message_id_header,
)
from services.ingest.domain.source import WRONG_CHANNEL, Sources
from services.ingest.storage import replays
from services.ingest.storage.failed_views import Chosen
from services.ingest.storage.registry import Registry
from services.ingest.storage.replays import Kept, Picked
from services.ingest.use_cases.discard_failed_events import MOST, described
from services.ingest.use_cases.publish_together import GroupPublisher
from shared import clock, ids
from shared.contracts.dead_letter import Headers
from shared.contracts.topics import Topics
from shared.contracts.touchpoint import RawPosition
from shared.errors import InvalidData
from shared.kafka.messages import OutboxBuffer
from shared.observability.masking import mask
from shared.postgres import audit
from shared.postgres.audit import Who
from shared.postgres.transaction import transaction

BATCH_EVENTS = 500
BATCH_BYTES = 8 * 1024 * 1024
"""Of the events that are in memory together."""
EXAMPLES = 10
EXAMPLE_BYTES = 16 * 1024
NOT_WHOLE = "not_whole"
"""Only the beginning of the event was kept."""
WRONG_PLACE = frozenset(("unknown_source", WRONG_CHANNEL))
"""Reasons for which the source that an event names may be corrected."""
NOT_RAW = "not_raw"
"""It did not come from the topic of a channel."""


class Trial(NamedTuple):
    """A failed event after the steps. `value` is None when it cannot be published; `error` says
    why it cannot, or why it would not be read; None when it would."""

    kept: Kept
    value: bytes | None
    headers: Headers
    error: InvalidData | None


@dataclass(slots=True)
class Outcome:
    """What a replay did, or would do. `skipped` by reason; `historical` are among the passing."""

    replay_id: UUID | None
    selected: int = 0
    more: bool = False
    passing: int = 0
    failing: int = 0
    skipped: dict[str, int] = field(default_factory=dict)
    historical: int = 0
    published: int = 0
    examples: list[Trial] = field(default_factory=list)


class Replayer:
    """Replays for one process. `live` is how old an event may be to cause messages."""

    def __init__(
        self,
        engine: AsyncEngine,
        *,
        registry: Registry,
        publisher: GroupPublisher,
        topics: Topics,
        allow_unregistered: bool,
        live: timedelta,
    ) -> None:
        self._engine = engine
        self._registry = registry
        self._publisher = publisher
        self._topics = topics
        self._allow_unregistered = allow_unregistered
        self._live = live

    async def try_out(self, chosen: Chosen, steps: Sequence[Step]) -> Outcome:
        """Read what the steps would make of the events; nothing is written or published."""
        outcome = Outcome(None)
        picked = await self._pick(chosen, outcome)
        for batch in _batches(picked):
            for trial in await self._trials(batch, steps, None):
                self._count(trial, outcome)
                if len(outcome.examples) < EXAMPLES:
                    outcome.examples.append(trial)
        return outcome

    async def replay(self, chosen: Chosen, steps: Sequence[Step], who: Who) -> Outcome:
        """Publish the events anew. Raises Infrastructure; what was published by then is marked."""
        replay_id = ids.random_id()
        outcome = Outcome(replay_id)
        picked = await self._pick(chosen, outcome)
        async with transaction(self._engine) as tx:
            claimed = await replays.claim(
                tx, picked, status=chosen.status or "new", replay_id=replay_id, who=who.name
            )
            outcome.selected = len(claimed)
            await audit.append(
                tx,
                who=who,
                kind="failed_events",
                key=str(replay_id),
                action="replay",
                after={
                    "filter": described(chosen),
                    "steps": mask([_described(step) for step in steps]),
                    "selected": len(claimed),
                },
            )
        try:
            for batch in _batches(claimed):
                await self._publish(batch, steps, replay_id, outcome)
        finally:
            async with transaction(self._engine) as tx:
                await replays.release(tx, [one.id for one in claimed], replay_id)
        return outcome

    async def _pick(self, chosen: Chosen, outcome: Outcome) -> list[Picked]:
        async with transaction(self._engine) as tx:
            found = await replays.pick(tx, chosen, limit=MOST + 1)
        outcome.more = len(found) > MOST
        outcome.selected = len(found[:MOST])
        return found[:MOST]

    async def _publish(
        self, batch: Sequence[Picked], steps: Sequence[Step], replay_id: UUID, outcome: Outcome
    ) -> None:
        messages = self._publisher.buffer()
        sent: list[Picked] = []
        for tried in await self._trials(batch, steps, replay_id):
            trial = _added(messages, tried)
            self._count(trial, outcome)
            if trial.value is not None:
                sent.append(Picked(trial.kept.id, trial.kept.attempts, len(trial.value)))
        if sent:
            await self._publisher.publish(messages)
            async with transaction(self._engine) as tx:
                await replays.mark_replayed(tx, sent, replay_id)
        outcome.published += len(sent)

    async def _trials(
        self, batch: Sequence[Picked], steps: Sequence[Step], replay_id: UUID | None
    ) -> list[Trial]:
        sources = Sources(await self._registry.sources(), self._allow_unregistered)
        async with transaction(self._engine) as tx:
            found = await replays.load(tx, [one.id for one in batch])
        oldest = clock.now() - self._live
        return [self._trial(kept, steps, replay_id, sources, oldest) for kept in found]

    def _trial(
        self,
        kept: Kept,
        steps: Sequence[Step],
        replay_id: UUID | None,
        sources: Sources,
        oldest: datetime,
    ) -> Trial:
        """One event after the steps, read as the worker will read it."""
        if not kept.whole:
            return Trial(kept, None, (), InvalidData(NOT_WHOLE, "only its beginning was kept"))
        if self._topics.channel_of(kept.topic) is None:
            return Trial(kept, None, (), InvalidData(NOT_RAW, f"{kept.topic} is no channel"))
        headers = _headers(kept, replay_id, historical=kept.received_at < oldest)
        mapping = webhook_mapping(headers, kept.channel, sources)
        try:
            value = corrected(kept.raw, steps, headers)
            if mapping is None:
                moved = kept.reason in WRONG_PLACE
                refuse_another_id(kept.raw, value, headers, moved=moved)
            else:
                refuse_other_item_ids(kept.raw, value, headers, mapping)
                before = item_ids_before(kept.raw, value, headers, mapping)
                headers = (*headers, *message_id_header(before))
        except InvalidData as error:
            return Trial(kept, None, (), error)
        try:
            reads = read_touchpoints(
                None if kept.raw is None and not value else value,
                raw=RawPosition(kept.topic, kept.part, 0),
                timestamp=milliseconds(kept.received_at),
                headers=headers,
                channel=kept.channel,
                sources=sources,
            )
        except InvalidData as error:
            return Trial(kept, value, headers, error)
        if reads.failures:
            return Trial(kept, value, headers, reads.failures[0])
        if mapping is None:
            one = id_before(kept.raw, value, reads.touchpoints[0].message_id)
            headers = (*headers, *message_id_header([] if one is None else [one]))
        return Trial(kept, value, headers, None)

    def _count(self, trial: Trial, outcome: Outcome) -> None:
        if trial.value is None and trial.error is not None:
            reason = trial.error.reason
            outcome.skipped[reason] = outcome.skipped.get(reason, 0) + 1
        elif trial.error is not None:
            outcome.failing += 1
        else:
            outcome.passing += 1
            outcome.historical += any(name == HISTORICAL_HEADER for name, _ in trial.headers)


def _added(messages: OutboxBuffer, trial: Trial) -> Trial:
    """The trial, without value when the event has grown beyond what its topic takes."""
    kept = trial.kept
    if trial.value is not None:
        value = None if kept.raw is None and not trial.value else trial.value
        try:
            messages.add_at(kept.topic, kept.part, kept.key, value, trial.headers)
        except InvalidData as error:
            return trial._replace(value=None, error=error)
    return trial


def _headers(kept: Kept, replay_id: UUID | None, *, historical: bool) -> Headers:
    """The original's own headers, without the collector's verdict: the event is read anew."""
    dropped = {*OWN_HEADERS, REFUSED_HEADER}
    own: list[tuple[str, bytes]] = [(FAILED_EVENT_HEADER, str(kept.id).encode())]
    if replay_id is not None:
        own.append((REPLAY_HEADER, str(replay_id).encode()))
    if historical:
        own.append((HISTORICAL_HEADER, b"true"))
    return (*(one for one in kept.headers if one[0].lower() not in dropped), *own)


def _described(step: Step) -> dict[str, Any]:
    """For the audit, which masks what a `value` is: it may be personal data."""
    return {"op": step.op, "path": step.path, "value": step.value, "to": step.to}


def _batches(picked: Sequence[Picked]) -> Iterator[list[Picked]]:
    batch: list[Picked] = []
    size = 0
    for one in picked:
        if batch and (len(batch) >= BATCH_EVENTS or size + one.size > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(one)
        size += one.size
    if batch:
        yield batch
