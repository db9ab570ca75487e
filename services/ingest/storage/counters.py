"""How many records each registered source published, and how many of them failed.

Counted in the statement that moves the position past them, and only for partitions that moved: so
each record counts once, whatever crashes and however often it is read.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.kafka.records import Place
from shared.postgres import leases
from shared.postgres.leases import Passed

Counts = Mapping[tuple[Place, str], int]
"""Records by where they lay and who published them."""


class Published(NamedTuple):
    """What a source published: `failed` are among the `received`."""

    received: int
    failed: int


ADVANCE_AND_COUNT = text(
    f"""
WITH moved AS ({leases.ADVANCE}),
counted AS (
    INSERT INTO source_counter AS c (source_id, received, failed)
    SELECT s.id, sum(n.received), sum(n.failed)
      FROM unnest(CAST(:count_topics AS text[]), CAST(:count_parts AS integer[]),
                  CAST(:sources AS text[]), CAST(:received AS bigint[]),
                  CAST(:failed AS bigint[])) AS n (topic, part, source_id, received, failed)
      JOIN moved m ON m.topic = n.topic AND m.part = n.part
      JOIN source s ON s.id = n.source_id
     GROUP BY s.id
     ORDER BY s.id
    ON CONFLICT (source_id) DO UPDATE
       SET received = c.received + excluded.received, failed = c.failed + excluded.failed
)
SELECT topic, part FROM moved
"""  # noqa: S608 - the one constant of the leases
)

ONE = text("SELECT received, failed FROM source_counter WHERE source_id = :source_id")


async def advance_and_count(
    tx: AsyncConnection,
    grp: str,
    passed: Sequence[Passed],
    epochs: Mapping[Place, int],
    *,
    accepted: Counts,
    failed: Counts,
) -> set[Place]:
    """As `leases.advance`; also counts what of `accepted` and `failed` lay in places that moved.

    Sources that are not registered have no counters. One statement, so it needs no transaction.
    """
    received = Counter(accepted) + Counter(failed)
    counted = sorted(received)
    values = {
        **leases.advance_values(grp, passed, epochs),
        "count_topics": [place.topic for place, _ in counted],
        "count_parts": [place.partition for place, _ in counted],
        "sources": [source for _, source in counted],
        "received": [received[key] for key in counted],
        "failed": [failed.get(key, 0) for key in counted],
    }
    rows = await tx.execute(ADVANCE_AND_COUNT, values)
    return {Place(row.topic, row.part) for row in rows}


async def published(tx: AsyncConnection, source_id: str) -> Published:
    """What a source published so far."""
    row = (await tx.execute(ONE, {"source_id": source_id})).one_or_none()
    return Published(0, 0) if row is None else Published(*row)
