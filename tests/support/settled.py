"""Whether all work is done: what lags behind, hop by hop, read from the lease rows and outboxes."""

from collections.abc import Collection, Mapping

import asyncpg

from shared.contracts.topics import Topics
from tests.support.eventually import eventually
from tests.support.kafka import end_offsets

HOPS = ("ingest", "profile", "orchestrator")
SETTLE_SECONDS = 120.0

_PENDING = "SELECT count(*) FROM orchestrator.action WHERE status = 'pending'"


async def lags(
    owner: asyncpg.Connection,
    kafka: str,
    topics: Topics,
    channels: Collection[str],
    *,
    hops: Collection[str] = HOPS,
) -> dict[str, int]:
    """Records not yet passed by topic, rows of each outbox, actions still waiting; only what is."""
    inputs = {
        "ingest": [topics.channel(channel) for channel in channels],
        "profile": [topics.touchpoints],
        "orchestrator": [topics.profile_updates],
    }
    found: dict[str, int] = {}
    for hop in hops:
        rows = await owner.fetch(f"SELECT topic, part, next_offset FROM {hop}.lease")
        positions = {(row["topic"], row["part"]): row["next_offset"] for row in rows}
        for topic in inputs[hop]:
            found[topic] = await topic_lag(kafka, topic, positions)
        if hop != "ingest":
            found[f"{hop} outbox"] = await owner.fetchval(f"SELECT count(*) FROM {hop}.outbox")
    if "orchestrator" in hops:
        found["pending actions"] = await owner.fetchval(_PENDING)
    return {name: count for name, count in found.items() if count}


async def topic_lag(kafka: str, topic: str, positions: Mapping[tuple[str, int], int]) -> int:
    """How many records of a topic nobody has passed yet."""
    ends = await end_offsets(kafka, topic)
    return sum(end - positions.get((topic, part), 0) for part, end in ends.items())


async def until_settled(
    owner: asyncpg.Connection,
    kafka: str,
    topics: Topics,
    channels: Collection[str],
    *,
    within: float = SETTLE_SECONDS,
    hops: Collection[str] = HOPS,
) -> None:
    """Wait until nothing lags. What a hop hands over is in the next hop's log or in an outbox, so
    one look that finds nothing, from the first hop to the last, is enough."""
    await eventually(
        lambda: lags(owner, kafka, topics, channels, hops=hops),
        until=lambda left: not left,
        within=within,
        every=0.5,
        what="everything is done",
    )
