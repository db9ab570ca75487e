"""Closes the file of a day: chosen lines, the file, then every line delivered.

Between any two steps the process may die. The next one writes the same file, unless it is there,
and marks the lines that are left.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from services.orchestrator.connectors import batch_file
from services.orchestrator.connectors.batch_file import Written
from services.orchestrator.domain.batch_lines import file_name, head, last_cut_off, lines
from services.orchestrator.domain.connector import FileBatch
from services.orchestrator.storage import delivery_batches, delivery_work
from services.orchestrator.storage.delivery_batches import Batch
from services.orchestrator.use_cases.delivery_events import say_all
from shared.contracts.topics import Topics
from shared.errors import Infrastructure
from shared.kafka.messages import OutboxBuffer, PartitionCounts
from shared.observability import metrics
from shared.postgres import outbox
from shared.postgres.transaction import transaction
from shared.runtime.crash import crash_point

CRASH_POINTS = (
    "deliver.batch_claimed",
    "deliver.batch_written",
    "deliver.batch_marked",
)
NIL = UUID(int=0)


async def close_batch(
    engine: AsyncEngine,
    channel: str,
    target: FileBatch,
    *,
    files: Path,
    topics: Topics,
    counts: PartitionCounts,
) -> bool:
    """Write the file that is due, if one is; whether there was one. Raises OSError."""
    async with transaction(engine) as tx:
        now = (await delivery_work.clocks(tx)).business
        day, cut_off = last_cut_off(target, now)
        batch = await delivery_batches.take(tx, channel, day=day, cut_off=cut_off)
    if batch is None:
        return False
    crash_point("deliver.batch_claimed")
    folder, name = files / target.folder, file_name(channel, batch.day)
    written = await asyncio.to_thread(batch_file.found, folder, name)
    if written is None:
        written = await _write(engine, batch, target, folder, name)
    crash_point("deliver.batch_written")
    await asyncio.to_thread(batch_file.seal, folder, name, written)
    while await _mark(engine, batch, topics, counts):
        crash_point("deliver.batch_marked")
    async with transaction(engine) as tx:
        if await delivery_batches.hold(tx, batch):
            await delivery_batches.close(tx, batch, file=name, sha256=written.sha256)
    return True


async def _write(
    engine: AsyncEngine, batch: Batch, target: FileBatch, folder: Path, name: str
) -> Written:
    async with transaction(engine) as tx:
        await delivery_batches.leave_out(tx, batch)

    async def parts() -> AsyncIterator[bytes]:
        yield head(target)
        after = NIL
        while True:
            async with transaction(engine) as tx:
                page = await delivery_batches.lines(tx, batch, after)
                if not await delivery_batches.hold(tx, batch):
                    raise Infrastructure("postgres", f"{name} has another writer by now")
            if not page:
                return
            yield lines(target, (body for _, body in page))
            after = page[-1][0]

    return await batch_file.write(folder, name, parts(), writer=batch.epoch)


async def _mark(engine: AsyncEngine, batch: Batch, topics: Topics, counts: PartitionCounts) -> bool:
    """Mark a page of lines and say so; False when none is left, or somebody else has the file."""
    buffer = OutboxBuffer(counts)
    async with transaction(engine) as tx:
        if not await delivery_batches.hold(tx, batch):
            return False
        marked = await delivery_batches.delivered(tx, batch)
        now = (await delivery_work.clocks(tx)).business
        say_all(
            buffer, topics, batch.channel, "delivered", now,
            ((line.action_id, line.profile_id) for line in marked if not line.test),
        )  # fmt: skip
        await outbox.append(tx, buffer)
    label = metrics.channel_label(batch.channel)
    metrics.DELIVERIES.labels(channel=label, result="delivered").inc(len(marked))
    return bool(marked)
