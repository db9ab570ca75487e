"""Moves the ingest worker past a batch and counts, in the same statement, who published it."""

from collections.abc import Mapping, Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from services.ingest.domain.glimpse import glimpse
from services.ingest.storage import counters
from shared.contracts.topics import Topics
from shared.kafka.records import Place
from shared.postgres.leases import Passed
from shared.runtime.records import Handled


async def advance_and_count(
    topics: Topics,
    tx: AsyncConnection,
    group: str,
    passed: Sequence[Passed],
    epochs: Mapping[Place, int],
    handled: Handled,
) -> set[Place]:
    """The places that moved. A dead letter that names no source counts for none."""
    failed = handled.also_failed.copy()
    for record, _ in handled.dead:
        source = glimpse(record.value, record.headers, topics.channel_of(record.topic) or "").source
        if source is not None:
            failed[Place(record.topic, record.partition), source] += 1
    return await counters.advance_and_count(
        tx, group, passed, epochs, accepted=handled.origins, failed=failed
    )
