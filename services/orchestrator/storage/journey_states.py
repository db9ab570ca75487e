"""What is in force of each published journey beside its versions."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_PUBLISHED = text(
    """
    INSERT INTO journey_state (journey, enters_from) VALUES (:journey, :version)
    ON CONFLICT (journey) DO UPDATE
       SET enters_from = CASE WHEN :stays THEN journey_state.enters_from
                              ELSE excluded.enters_from END
    """
)


_WINNER = text(
    """
    UPDATE journey_state SET winners = CASE WHEN CAST(:arm AS text) IS NULL THEN winners - :node
                                       ELSE winners || jsonb_build_object(:node, :arm) END
     WHERE journey = :journey
    """
)


async def put_winner(tx: AsyncConnection, journey: str, node: str, arm: str | None) -> None:
    """An arm of an experiment's node takes all who come there; None: none does any more."""
    await tx.execute(_WINNER, {"journey": journey, "node": node, "arm": arm})


async def put_published(tx: AsyncConnection, journey: str, version: int, *, stays: bool) -> None:
    """A version goes live; `stays`: an earlier one was live, and lets people in while this one is
    warming."""
    values = {"journey": journey, "version": version, "stays": stays}
    await tx.execute(_PUBLISHED, values)
