"""A storm of merges beside ordinary work: how long it takes, and what the others feel of it.

`CONCERT_STORM=3000 python -m pytest -s tests/integration/profile/test_storm.py` shows the full
figure; caps are lifted, so that every one of them is a merge.
"""

import asyncio
import os
import time
from dataclasses import replace

import pytest

from services.profile.domain.absorb import Rules
from services.profile.domain.identity import IdentityRules
from tests.integration.profile.worker import Worker
from tests.unit.profile.world import touchpoint

SIZE = int(os.environ.get("CONCERT_STORM", "300"))
BATCH = 1000
USER = ("user_id", "everybody")


def lifted() -> Rules:
    """Rules without a cap that the storm could reach."""
    types = dict(IdentityRules().types)
    types["anonymous_id"] = replace(types["anonymous_id"], limit=10 * SIZE)
    return Rules(
        identity=IdentityRules(types=types, max_identifiers=10 * SIZE, max_merges=10 * SIZE)
    )


async def latencies(worker: Worker, start: int, stop: asyncio.Event) -> list[float]:
    """Seconds that small batches of other people take, one after the other, until told to stop."""
    found: list[float] = []
    while not stop.is_set() or len(found) < 20:
        number = start + len(found)
        began = time.monotonic()
        await worker.absorb(touchpoint(number, ("email", f"other{number}@x.y")))
        found.append(time.monotonic() - began)
        await asyncio.sleep(0.01)
    return sorted(found)


def p99(found: list[float]) -> float:
    return found[min(len(found) - 1, len(found) * 99 // 100)]


async def test_a_storm_ends_and_the_others_go_on(
    worker: Worker, capsys: pytest.CaptureFixture[str]
) -> None:
    storm, other = Worker(worker.engine, lifted()), Worker(worker.engine)
    visitors = [("anonymous_id", f"v{n}") for n in range(SIZE)]
    await storm.absorb_in_batches([touchpoint(n, v) for n, v in enumerate(visitors)], BATCH)
    calm_over, storm_over = asyncio.Event(), asyncio.Event()
    calm = asyncio.create_task(latencies(other, 20_000, calm_over))
    await asyncio.sleep(1)
    calm_over.set()
    before = await calm
    during = asyncio.create_task(latencies(other, 30_000, storm_over))
    began = time.monotonic()
    logins = [touchpoint(SIZE + n, USER, v) for n, v in enumerate(visitors)]
    await storm.absorb_in_batches(logins, BATCH)
    took = time.monotonic() - began
    storm_over.set()
    after = await during
    with capsys.disabled():
        print(f"\n{SIZE} merges into one person: {took:.1f} s; p99 of the others "
              f"{p99(before) * 1000:.0f} ms before, {p99(after) * 1000:.0f} ms during")  # fmt: skip
    assert await worker.rows("SELECT count(*) FROM merge") == [(SIZE - 1,)]
    [person] = [one for one in await worker.active() if one.computed.touchpoints > 1]
    assert person.computed.touchpoints == 2 * SIZE
    assert len(after) >= 20
