"""69,659 real purchases become 23,570 profiles, the revenue right to the cent, whatever dies."""

import asyncio
import random
from functools import partial

import pytest

from tests.acceptance.cdnow import (
    CHANNEL,
    CUSTOMERS,
    EXPECTED,
    REVENUE,
    publish_paced,
    purchases,
    revenue_by_api,
    totals,
)
from tests.acceptance.concert import WORKERS, Concert
from tests.support.eventually import eventually
from tests.support.settled import Work, watching

KILLS = 5
PACED_SECONDS = 65.0
SOMEWHAT = (1.0, 3.0)
INPUT_OF = {
    "ingest-worker": "channel.pos",
    "profile-worker": "touchpoints",
    "orchestrator-worker": "profile.updates",
}


@pytest.mark.timeout(900)
async def test_profiles_and_revenue_to_the_cent_and_again(own_concert: Concert) -> None:
    await own_concert.start(*WORKERS, "profile-api")
    messages = purchases(own_concert)
    for _ in ("first", "again"):
        await own_concert.publish(*messages)
        await own_concert.until_done(CHANNEL)
        assert await totals(own_concert.owner) == EXPECTED
    assert await revenue_by_api(own_concert, messages) == (CUSTOMERS, REVENUE)


@pytest.mark.timeout(900)
async def test_the_same_while_every_worker_is_killed_in_the_middle(own_concert: Concert) -> None:
    await own_concert.start(*WORKERS, "profile-api")
    messages = purchases(own_concert)
    lags_at_kills, _ = await asyncio.gather(
        kill_each(own_concert), publish_paced(own_concert, messages, PACED_SECONDS)
    )
    await own_concert.until_done(CHANNEL)
    print(f"lag of each role when it was killed: {lags_at_kills}")
    assert all(len(seen) == KILLS and min(seen) > 0 for seen in lags_at_kills.values())
    assert await totals(own_concert.owner) == EXPECTED
    assert await revenue_by_api(own_concert, messages) == (CUSTOMERS, REVENUE)


async def kill_each(concert: Concert) -> dict[str, list[int]]:
    """kill -9 every worker five times, each time while it has lag; the lag it had."""
    draw = random.Random(5)
    seen: dict[str, list[int]] = {label: [] for label in WORKERS}
    where = (concert.owner, concert.stack.kafka, concert.topics, [CHANNEL])
    async with watching(*where) as work:
        for _ in range(KILLS):
            for label in draw.sample(WORKERS, len(WORKERS)):
                await asyncio.sleep(draw.uniform(*SOMEWHAT))
                await concert.running[label].until_ready()
                topic = concert.topics.prefix + INPUT_OF[label]
                lag = await eventually(partial(lag_of, work, topic), what=f"{label} has lag")
                concert.restart(label)
                seen[label].append(lag)
    return seen


async def lag_of(work: Work, topic: str) -> int:
    """Records of a topic that wait for its reader now."""
    return (await work.left()).get(topic, 0)
