"""A relay passes nothing that can still become visible; real PostgreSQL."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from shared.kafka.messages import OutboxBuffer, PartitionCounts
from shared.postgres import outbox
from shared.postgres.transaction import transaction
from shared.runtime.outbox_marks import OutboxMarks

COUNTS = PartitionCounts({"touchpoints": 1})
DELETE = text("DELETE FROM outbox WHERE id = ANY(:ids)")
LIMIT = 4


async def append(tx: AsyncConnection, value: bytes) -> None:
    """One row of shard 0."""
    buffer = OutboxBuffer(COUNTS)
    buffer.add("touchpoints", b"key", value)
    await outbox.append(tx, buffer)


async def look(engine: AsyncEngine, marks: OutboxMarks) -> list[bytes | None]:
    """One round of a relay: what it would have published."""
    async with transaction(engine) as tx:
        found = await outbox.read(tx, marks.above([0]), LIMIT)
    marks.found(found)
    async with transaction(engine) as tx:
        await tx.execute(DELETE, {"ids": [frame.id for frame in found.frames]})
    marks.gone([0], found.frames, LIMIT)
    return [message.value for frame in found.frames for message in outbox.decode_frame(frame.frame)]


async def test_a_row_that_becomes_visible_late_is_not_passed(engine: AsyncEngine) -> None:
    marks = OutboxMarks()
    async with transaction(engine) as slow:
        await append(slow, b"first")
        async with transaction(engine) as quick:
            await append(quick, b"second")
        assert await look(engine, marks) == [b"second"]
        for _ in range(3):
            assert await look(engine, marks) == []
    assert await look(engine, marks) == [b"first"]


async def test_the_mark_passes_what_is_gone_also_while_a_snapshot_is_open(
    engine: AsyncEngine,
) -> None:
    marks = OutboxMarks()
    async with engine.connect() as report:
        await report.execution_options(isolation_level="REPEATABLE READ")
        await report.execute(text("SELECT 1 FROM outbox"))
        for number in range(2 * LIMIT):
            async with transaction(engine) as tx:
                await append(tx, b"%d" % number)
        rounds = [await look(engine, marks) for _ in range(4)]
        assert [value for values in rounds for value in values] == [
            b"%d" % number for number in range(2 * LIMIT)
        ]
        async with transaction(engine) as tx:
            last = (await tx.execute(text("SELECT last_value FROM outbox_id_seq"))).scalar_one()
        assert marks.above([0]) == {0: last}


async def test_a_transaction_has_its_id_before_its_rows_have_theirs(engine: AsyncEngine) -> None:
    async with transaction(engine) as tx:
        plan = "\n".join(
            row[0]
            for row in await tx.execute(
                text(f"EXPLAIN {outbox.appending(buffer_of_one())[0].statement}"),
                outbox.appending(buffer_of_one())[0].values,
            )
        )
    assert "One-Time Filter: (pg_current_xact_id() IS NOT NULL)" in plan


def buffer_of_one() -> OutboxBuffer:
    """A buffer with one message."""
    buffer = OutboxBuffer(COUNTS)
    buffer.add("touchpoints", b"key", b"value")
    return buffer
