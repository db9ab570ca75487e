"""How many touchpoints of each source were applied, and how many came again: exact, for ever.

A source has a row for each shard. A shard is a partition of the batch that counts: the batch holds
its lease, so no two workers ever wait for the same row.
"""

from collections.abc import Mapping
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection


class Counted(NamedTuple):
    """`accepted`: first copies, applied. `duplicate`: further raw records of the same event that
    its publisher sent; what Concert reads again by itself is in neither."""

    accepted: int
    duplicate: int


_ADD = text(
    """
    INSERT INTO touchpoint_counter (source, shard, accepted, duplicate)
    SELECT source, :shard, accepted, duplicate
      FROM unnest(CAST(:sources AS text[]), CAST(:accepted AS bigint[]),
                  CAST(:duplicate AS bigint[])) AS new (source, accepted, duplicate)
    ON CONFLICT (source, shard) DO UPDATE
       SET accepted = touchpoint_counter.accepted + excluded.accepted,
           duplicate = touchpoint_counter.duplicate + excluded.duplicate
    """
)


async def add(
    tx: AsyncConnection, *, shard: int, accepted: Mapping[str, int], duplicate: Mapping[str, int]
) -> None:
    """Add what one batch counted, by source, in order of source; nothing where both are empty."""
    sources = sorted({*accepted, *duplicate})
    if sources:
        await tx.execute(
            _ADD,
            {
                "shard": shard,
                "sources": sources,
                "accepted": [accepted.get(source, 0) for source in sources],
                "duplicate": [duplicate.get(source, 0) for source in sources],
            },
        )


_READ = text(
    """
    SELECT CAST(coalesce(sum(accepted), 0) AS bigint), CAST(coalesce(sum(duplicate), 0) AS bigint)
      FROM touchpoint_counter WHERE source = :source
    """
)


async def read(tx: AsyncConnection, source: str) -> Counted:
    """What was counted of a source; zeros for one that nothing was ever applied of."""
    row = (await tx.execute(_READ, {"source": source})).one()
    return Counted(row[0], row[1])
