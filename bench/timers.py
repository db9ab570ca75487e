"""A million people who wait in a journey: how late and how fast they go on, and what grows.

Poller and worker run as processes on their own; the business clock is shifted, so that the timers
of an hour are due at once: that is the churn. Between, timers come due one by one, under traffic.
"""

import asyncio
import multiprocessing
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

import asyncpg
import httpx

from bench import machine, waiting
from bench.load import LoadEvent
from bench.publish import pace
from bench.stage import Stage
from bench.timer_figures import (
    TRAFFIC,
    WATCHED,
    Churn,
    Paced,
    Plan,
    Size,
    Sizes,
    TimerRun,
)
from bench.waiting import DOCUMENT, KEY, Crowd
from deploy.local.ports import HOST
from deploy.local.progress import Progress
from shared.contracts.topics import Topics

LOADERS = 2
RANGE = 20_000
SETTLE_SECONDS = 90.0
STALL_SECONDS = 60.0
LOOK_SECONDS = 1.0
"""Between two looks at how many are left: each one costs the database as much as a round."""


async def measure_timers(stage: Stage, plan: Plan, progress: Progress) -> TimerRun:
    """Load the crowd, then measure: paced, churn with one and two pollers, paced; and all of it
    again while a snapshot stays open."""
    await publish(stage, KEY, DOCUMENT)
    database = await asyncpg.connect(
        stage.owner_url, server_settings={"search_path": "orchestrator"}
    )
    try:
        now: datetime = await database.fetchval("SELECT clock.now()")
        crowd = Crowd(plan.people, plan.rate, now + timedelta(days=2))
        begun = time.monotonic()
        _load_all(stage.deployment.service_urls["orchestrator"], crowd, progress)
        taken = time.monotonic() - begun
        for table in (*WATCHED, "run_log"):
            await database.execute(f"VACUUM (ANALYZE) {table}")
        show = _Show(stage, plan, crowd, database, progress)
        await stage.start_ready("orchestrator", "worker")
        await stage.start_ready("orchestrator", "poller")
        parts: list[Paced | Churn] = [await show.paced("one poller")]
        parts.append(await show.churn("one poller", plan.churn // 2))
        await stage.start_ready("orchestrator", "poller", 2)
        parts.append(await show.churn("two pollers", plan.churn - plan.churn // 2))
        parts.append(await show.paced("two pollers, after the churn"))
        async with _open_snapshot(stage):
            parts.append(await show.paced("with a snapshot open", pinned=True))
            parts.append(await show.churn("with a snapshot open", plan.churn))
            parts.append(await show.paced("with a snapshot open, after the churn", pinned=True))
        await show.settle()
        parts.append(await show.paced("the snapshot closed"))
        return TimerRun(plan, taken, parts, await show.sizes())
    finally:
        await database.close()
        stage.stop_roles()


async def publish(stage: Stage, key: str, document: dict[str, object]) -> None:
    """Publish a journey over HTTP, and stop the APIs again."""
    await stage.start_ready("profile", "api")
    await stage.start_ready("orchestrator", "api")
    headers = {"Authorization": f"Bearer {stage.admin_token}"}
    base = f"http://{HOST}:{stage.ports.base + 3}"
    async with httpx.AsyncClient(base_url=base, headers=headers, timeout=30) as api:
        path = f"/v1/journeys/{key}"
        for answer in (
            await api.put(path, json=document),
            await api.post(f"{path}:publish", json={}),
        ):
            if answer.is_error:
                raise RuntimeError(answer.text)
    stage.stop_roles()


def _load_all(url: str, crowd: Crowd, progress: Progress) -> None:
    ranges = [
        (url, crowd, start, min(start + RANGE, crowd.people))
        for start in range(0, crowd.people, RANGE)
    ]
    done = 0
    with multiprocessing.get_context("spawn").Pool(LOADERS) as pool:
        for loaded in pool.imap_unordered(_load_range, ranges):
            done += loaded
            progress.say(f"{done:,} of {crowd.people:,} people wait")


def _load_range(given: tuple[str, Crowd, int, int]) -> int:
    url, crowd, start, stop = given
    asyncio.run(waiting.load(url, crowd, start, stop))
    return stop - start


@asynccontextmanager
async def _open_snapshot(stage: Stage) -> AsyncIterator[None]:
    """Somebody's report that goes on for hours: nothing that it could see may be cleaned up."""
    report = await asyncpg.connect(stage.owner_url)
    await report.execute("SET idle_in_transaction_session_timeout = 0")
    reading = report.transaction(isolation="repeatable_read", readonly=True)
    await reading.start()
    await report.fetchval("SELECT 1 FROM orchestrator.timer LIMIT 1")
    try:
        yield
    finally:
        await reading.rollback()
        await report.close()


class _Show:
    """What is measured, one after the other: the clock goes on from one to the next."""

    def __init__(
        self,
        stage: Stage,
        plan: Plan,
        crowd: Crowd,
        database: asyncpg.Connection,
        progress: Progress,
    ) -> None:
        self._stage = stage
        self._plan = plan
        self._crowd = crowd
        self._database = database
        self._progress = progress
        self._next = 0.0
        """So many seconds after the begin of the crowd is where the next measurement starts."""
        self._done = 0.0
        """Nobody is due any more of those before."""
        self._seqs: dict[int, int] = {}
        self._updates = 0

    async def paced(self, name: str, *, pinned: bool = False) -> Paced:
        """Let timers come due one by one, under traffic, and see how late they were."""
        await self._catch_up(self._plan.seconds)
        begin = self._crowd.begin + timedelta(seconds=self._next)
        await self._shift_to(begin)
        before = self._cpu()
        await self._traffic(self._plan.seconds)
        await self._shift_to(begin + timedelta(seconds=self._plan.seconds))
        fired = round(self._plan.rate * self._plan.seconds)
        await self._until_fired(round(self._next * self._plan.rate) + fired)
        cpu = self._cpu_since(before)
        late = await self._database.fetchrow(
            _LATE, begin, begin + timedelta(seconds=self._plan.seconds)
        )
        self._next += self._plan.seconds
        paced = Paced(
            name,
            late["n"],
            late["p50"],
            late["p99"],
            late["longest"],
            await self.sizes(),
            cpu,
            pinned,
        )
        self._progress.say(
            f"{name}: {paced.fired:,} timers, late p50 {paced.p50:.3f} s, p99 {paced.p99:.3f} s"
        )
        return paced

    async def churn(self, name: str, timers: int) -> Churn:
        """Let many timers be due at once, and see how long it takes until all have fired."""
        await self._catch_up(timers / self._plan.rate)
        before, goal = self._cpu(), round(self._next * self._plan.rate) + timers
        self._next += timers / self._plan.rate
        await self._shift_to(self._crowd.begin + timedelta(seconds=self._next))
        begun = time.monotonic()
        await self._until_fired(goal)
        seconds = time.monotonic() - begun
        churn = Churn(name, timers, seconds, await self.sizes(), self._cpu_since(before))
        self._progress.say(f"{name}: {timers:,} timers at {churn.rate:,.0f} a second")
        return churn

    async def settle(self) -> None:
        """Wait until the dead rows of the timers are gone, or for a while."""
        begun = time.monotonic()
        while time.monotonic() - begun < SETTLE_SECONDS:
            if (await self.sizes())["timer"].dead < self._plan.people / 100:
                return
            await asyncio.sleep(1)

    async def sizes(self) -> Sizes:
        """The tables as they are now."""
        return {table: await self._size(table) for table in WATCHED}

    async def _size(self, table: str) -> Size:
        row = await self._database.fetchrow(_SIZE, table)
        indexes = await self._database.fetch(_INDEXES, table)
        return Size(
            row["mb"], {one["name"]: one["mb"] for one in indexes}, row["dead"], row["vacuums"]
        )

    async def _catch_up(self, seconds: float) -> None:
        """What came due while something else was measured fires first, and belongs to neither.
        Raises RuntimeError when too few people are left for so many seconds."""
        now: datetime = await self._database.fetchval("SELECT clock.now()")
        gone = (now - self._crowd.begin).total_seconds()
        if gone > self._next:
            self._next = gone
            await self._until_fired(round(gone * self._plan.rate))
        if (self._next + seconds) * self._plan.rate > self._plan.people:
            raise RuntimeError("everybody has been served: more people, or a lower rate")

    async def _shift_to(self, at: datetime) -> None:
        """Shift the clock forward; never back."""
        await self._database.execute(
            "SELECT clock.advance(greatest($1::timestamptz - clock.now(), interval '0'))", at
        )

    async def _until_fired(self, count: int) -> None:
        """Wait until nobody is due of the first `count`. Raises RuntimeError when nothing moves."""
        until = self._crowd.begin + timedelta(seconds=(count - 0.5) / self._plan.rate)
        since = self._crowd.begin + timedelta(seconds=self._done)
        last, moved = -1, time.monotonic()
        while left := int(await self._database.fetchval(_LEFT, until, since)):
            now = time.monotonic()
            if left != last:
                last, moved = left, now
            if now - moved > STALL_SECONDS:
                raise RuntimeError(f"no timer fired for {STALL_SECONDS:.0f} s, {left} are due")
            await asyncio.sleep(LOOK_SECONDS)
        self._done = max(count - 1, 0) / self._plan.rate

    async def _traffic(self, seconds: float) -> None:
        """Updates of people who wait, one after the other."""
        at: datetime = await self._database.fetchval("SELECT clock.now()")
        events = []
        for _ in range(round(seconds * TRAFFIC)):
            number = self._updates * 7_919 % self._crowd.people
            self._updates += 1
            seq = self._seqs[number] = self._seqs.get(number, 1) + 1
            value = waiting.update(number, seq, "Page Viewed", at)
            events.append(LoadEvent(waiting.profile_id(number).encode(), value, None))
        topic = Topics().profile_updates
        await pace(self._stage.kafka, topic, events, TRAFFIC, lambda event, at: None)

    def _cpu(self) -> dict[str, float]:
        return machine.cpu_seconds(self._stage.pids)

    def _cpu_since(self, before: dict[str, float]) -> dict[str, float]:
        return {name: used - before.get(name, 0.0) for name, used in self._cpu().items()}


# Who entered when says when they were due; since when they rest now, when they were served.
_LATE = """
SELECT count(*) AS n, coalesce(percentile_cont(0.5) WITHIN GROUP (ORDER BY late), 0) AS p50,
       coalesce(percentile_cont(0.99) WITHIN GROUP (ORDER BY late), 0) AS p99,
       coalesce(max(late), 0) AS longest
  FROM (SELECT extract(epoch FROM since - entered_at - interval '1 day')::float AS late
          FROM journey_run WHERE entered_at >= $1::timestamptz - interval '1 day'
           AND entered_at < $2::timestamptz - interval '1 day') AS served
"""
_LEFT = "SELECT count(*) FROM timer WHERE due_at < $1 AND due_at >= $2"
_SIZE = """
SELECT (pg_table_size(relid) / 1048576.0)::float AS mb, n_dead_tup AS dead,
       autovacuum_count AS vacuums
  FROM pg_stat_user_tables WHERE schemaname = 'orchestrator' AND relname = $1
"""
_INDEXES = """
SELECT indexrelname AS name, (pg_relation_size(indexrelid) / 1048576.0)::float AS mb
  FROM pg_stat_user_indexes WHERE schemaname = 'orchestrator' AND relname = $1 ORDER BY 1
"""
